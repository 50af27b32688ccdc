#pragma once
// Bounds on gradients, between backward and the optimiser's step, and on filters, after it; in place.

#include <vector>

#include "core/tensor.hpp"

namespace gradus::optim {

/// The root of the sum of the squares of all gradients, added up in double. Parameters without a gradient count
/// nothing.
double grad_norm(const std::vector<Tensor>& parameters);
/// Scales all gradients so that their common norm is at most `max_norm` (Pascanu et al. 2013). Returns the norm before.
/// A norm that is NaN or infinite is returned and nothing is scaled.
double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm);
/// Cuts every element of every gradient to [-bound, bound].
void clip_grad_value(const std::vector<Tensor>& parameters, double bound);

/// Scales every filter w[k] of a convolution's weight [K, C, R, S] whose root mean square exceeds `radius` back to it
/// (Zeiler and Fergus 2013, section 3.1). Parameters of other ranks stay as they are.
void clip_filter_rms(const std::vector<Tensor>& parameters, double radius);

}  // namespace gradus::optim
