#pragma once
// The fully connected layer.

#include "core/tensor.hpp"

namespace gradus {

/// y = x W^T + b.  x [..., in], weight [out, in], bias [out] or undefined -> y [..., out]. The bias is added by the
/// product itself. f32 or f64; differentiable any number of times.
/// Errors: ShapeError where a size does not fit; DTypeError, DeviceError for operands that differ.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace gradus
