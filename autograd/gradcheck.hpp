#pragma once
// Gradients checked against finite differences, in f64.

#include <functional>

#include "autograd/engine.hpp"

namespace gradus {

struct GradcheckOptions {
  double step = 1e-6;      // of the central difference
  double relative = 1e-5;  // allowed error: relative * max(|analytic|, |numeric|) + absolute
  double absolute = 1e-7;
  std::uint64_t seed = 1;  // of the random weights that turn the result into one number
};

using TensorFn = std::function<Tensor(const std::vector<Tensor>&)>;

/// Compares the tape's gradients of fn with central differences for every element of every input that requires a
/// gradient (all of them must be f64 leaves). fn must be a pure function of its inputs, smooth near them. Throws
/// GraphError with the input, the index and both numbers at the first difference.
void gradcheck(const TensorFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

/// The same for the gradient of the gradient: checks d/d input of sum(gradients * random weights).
void gradgradcheck(const TensorFn& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

}  // namespace gradus
