#pragma once
// Reductions over any dims.
//
// `dims` lists the dims to reduce (negative ones count from the end); empty means all. With keepdim they stay with
// size 1. Sums of f32 are accumulated so that their error grows with the logarithm of the count, in an order that
// depends on the shape alone. Errors: ShapeError for a dim out of range or named twice; DTypeError unless f32 or f64.

#include "core/tensor.hpp"

namespace gradus {

Tensor sum(const Tensor& x, const Dims& dims = {}, bool keepdim = false);   // of nothing: 0
Tensor mean(const Tensor& x, const Dims& dims = {}, bool keepdim = false);  // ShapeError over no elements
/// Sums x down to `shape`, which must broadcast to x's: the backward of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace gradus
