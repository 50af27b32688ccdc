#pragma once
// Operators that only look at a tensor differently: they share its storage and move no data, unless said.
// A negative dim counts from the end. Errors: ShapeError for a dim out of range or sizes that do not fit.

#include "core/tensor.hpp"

namespace gradus {

/// The same elements in logical order under another shape; one size may be -1 and is inferred. Copies if no strides can
/// express it (a channels-last activation, say).
Tensor reshape(const Tensor& x, const Shape& shape);
/// Merges dims start … end into one: [N,C,H,W] -> [N, C*H*W] by default.
Tensor flatten(const Tensor& x, std::int64_t start = 1, std::int64_t end = -1);
Tensor transpose(const Tensor& x, std::int64_t a, std::int64_t b);
/// result.size(i) = x.size(dims[i]); dims is an order of all dimensions.
Tensor permute(const Tensor& x, const Dims& dims);
/// Elements start … start+length-1 of a dim.
Tensor narrow(const Tensor& x, std::int64_t dim, std::int64_t start, std::int64_t length);
/// Elements start, start+step, … below end of a dim; step >= 1; a negative start or end counts from the end.
Tensor slice(const Tensor& x, std::int64_t dim, std::int64_t start, std::int64_t end, std::int64_t step = 1);
/// Index `index` of a dim, which disappears.
Tensor select(const Tensor& x, std::int64_t dim, std::int64_t index);
/// 1-sized (and new leading) dims repeated to `shape` without copying; -1 keeps a size.
Tensor expand(const Tensor& x, const Shape& shape);
/// Drops a 1-sized dim (no change if its size is not 1); without dim, all of them.
Tensor squeeze(const Tensor& x, std::int64_t dim);
Tensor squeeze(const Tensor& x);
/// Inserts a 1-sized dim so that it has index `dim` in the result.
Tensor unsqueeze(const Tensor& x, std::int64_t dim);

// These copy.

/// Dense in that order; x itself if it already is.
Tensor contiguous(const Tensor& x, Format format = Format::contiguous);
inline Tensor channels_last(const Tensor& x) { return contiguous(x, Format::channels_last); }
/// Another dtype or device; x itself if nothing changes. The gradient is converted back. Not to an integer dtype on the
/// tape: such a result has no history.
Tensor to(const Tensor& x, DType dtype);
Tensor to(const Tensor& x, Device device);
/// Order reversed along a dim.
Tensor flip(const Tensor& x, std::int64_t dim);

}  // namespace gradus
