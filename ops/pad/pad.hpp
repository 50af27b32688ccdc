#pragma once
// A border of one value.

#include "core/tensor.hpp"

namespace gradus {

/// x with `value` around it. `padding` names the last dim first, two numbers each, as PyTorch does: {left, right} pads
/// the last dim, {left, right, top, bottom} the last two, {0, 0, 0, 0, before, after} the channels of [N,C,H,W] (the
/// parameter-free shortcut of He et al. 2015). f32 or f64; y keeps a channels-last order; the gradient is a view of gy.
/// Differentiable any number of times.
/// Errors: ShapeError for an odd number of values or more than x has dims; ValueError for a negative one.
Tensor pad(const Tensor& x, const Dims& padding, double value = 0);

}  // namespace gradus
