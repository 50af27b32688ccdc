#pragma once
// Puts every element of x back to where its maximum was found (Zeiler and Fergus 2013, section 2.1): x and indices are
// [N,C,P,Q], y is [N, C, output_size], zero elsewhere, channels-last. indices is the i64 tensor of
// max_pool2d_with_indices: h * W + w in y's plane.
//
// Where windows share an index they carry the same x, and each gets the gradient of that place (as PyTorch). Any number
// of derivatives. Saved: the indices. Errors: ShapeError for shapes that do not fit, DTypeError unless indices is i64,
// ValueError for an index outside the plane.

#include "core/tensor.hpp"
#include "ops/pair.hpp"

namespace gradus {

Tensor max_unpool2d(const Tensor& x, const Tensor& indices, Pair output_size);

}  // namespace gradus
