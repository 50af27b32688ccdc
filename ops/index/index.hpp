#pragma once
// Elements by index.
//
// Indices are i64 on x's device, from 0 to size-1 of the dim they count along; another value is a ValueError that shows
// it and where it stands. x is f32 or f64. Backward adds in the order of the indices, so it gives the same bits on any
// number of threads. Differentiable in x any number of times.

#include "core/tensor.hpp"

namespace gradus {

/// y[..., i, ...] = x[..., index[..., i, ...], ...] along `dim`; y has index's shape, which may exceed x's in no other
/// dim (ShapeError).
Tensor gather(const Tensor& x, std::int64_t dim, const Tensor& index);

/// y = 0 of the given shape, then y[..., index[..., i, ...], ...] += x[..., i, ...]: the backward of gather.
Tensor scatter_add(const Shape& shape, std::int64_t dim, const Tensor& index, const Tensor& x);

/// The slices index[0], index[1], … of x along `dim`; index is one-dimensional.
Tensor index_select(const Tensor& x, std::int64_t dim, const Tensor& index);

}  // namespace gradus
