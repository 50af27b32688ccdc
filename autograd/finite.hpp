#pragma once
// Looking for NaN and infinity, for anomaly mode and for training loops that stop at the first bad loss.

#include "core/tensor.hpp"

namespace gradus {

/// True if no element is NaN or infinite (always, for non-floating dtypes and meta tensors).
bool all_finite(const Tensor& x);

}  // namespace gradus
