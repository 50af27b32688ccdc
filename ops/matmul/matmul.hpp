#pragma once
// Matrix products.

#include "core/tensor.hpp"

namespace gradus {

/// a b by NumPy's rules: [..., M, K] x [..., K, N] -> [..., M, N], the leading dims broadcast. A vector on the left is
/// a row, one on the right a column, and that dim of the result is dropped: [K] x [K] -> a single number. f32 or f64;
/// transposed views are read in place. Differentiable any number of times. Errors: ShapeError for a scalar operand,
/// inner sizes that differ, leading dims that do not broadcast; DTypeError, DeviceError for operands that differ.
Tensor matmul(const Tensor& a, const Tensor& b);

}  // namespace gradus
