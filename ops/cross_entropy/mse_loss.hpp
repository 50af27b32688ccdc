#pragma once

#include "core/tensor.hpp"
#include "ops/cross_entropy/reduction.hpp"

namespace gradus {

/// (x - target)^2, then their mean, their sum, or each. Operands have one shape (ShapeError; there is no broadcasting),
/// dtype and device. Differentiable any number of times in both.
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);

}  // namespace gradus
