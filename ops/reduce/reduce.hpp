#pragma once
// Reductions over any dims.
//
// `dims` lists the dims to reduce (negative ones count from the end); empty means all. With keepdim they stay with
// size 1. x is f32 or f64, of any strides. Sums of f32 are accumulated so that their error hardly grows with the count
// (blocks of 64 terms in f32, blocks added in f64), in an order that depends on the shape and strides alone.
// Errors: ShapeError for a dim out of range or named twice, and where a reduction over no elements has no value;
// DTypeError unless f32 or f64. All can be differentiated any number of times.

#include "core/tensor.hpp"

namespace gradus {

Tensor sum(const Tensor& x, const Dims& dims = {}, bool keepdim = false);   // of nothing: 0
Tensor mean(const Tensor& x, const Dims& dims = {}, bool keepdim = false);  // ShapeError over no elements
/// Sums x down to `shape`, which must broadcast to x's: the backward of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);

/// Largest and smallest element; elements that tie share the gradient equally. NaN wins.
Tensor max(const Tensor& x, const Dims& dims = {}, bool keepdim = false);
Tensor min(const Tensor& x, const Dims& dims = {}, bool keepdim = false);

/// Where the largest (smallest) element stands, i64: the first of several; NaN counts as largest (smallest).
Tensor argmax(const Tensor& x, std::int64_t dim, bool keepdim = false);
Tensor argmin(const Tensor& x, std::int64_t dim, bool keepdim = false);
/// The same over all elements: a flat position in logical order.
Tensor argmax(const Tensor& x);
Tensor argmin(const Tensor& x);

/// The largest (smallest) elements along a dim and where they stand. The gradient goes to that one place.
struct Extremes {
  Tensor values, indices;
};
Extremes max_with_indices(const Tensor& x, std::int64_t dim, bool keepdim = false);
Extremes min_with_indices(const Tensor& x, std::int64_t dim, bool keepdim = false);

struct VarOptions {
  bool unbiased = true;  // divide by n - 1 (NaN for n = 1), else by n
  bool keepdim = false;
};
/// Mean squared deviation from the mean, in two passes, so that a large mean costs no accuracy.
Tensor var(const Tensor& x, const Dims& dims = {}, const VarOptions& options = {});

}  // namespace gradus
