#pragma once
// Gradient clipping, in place, between backward and the optimiser's step.

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

}  // namespace gradus::optim
