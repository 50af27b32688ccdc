#pragma once
// Joining tensors and taking them apart.

#include <vector>

#include "core/tensor.hpp"

namespace gradus {

/// The tensors one after the other along `dim`. Their other sizes, dtypes (any) and devices agree; at least one tensor.
/// Channels-last if all that are 4-D and not empty are. The gradients are views of gy: no copy.
/// Differentiable any number of times. Errors: ShapeError, DTypeError, DeviceError.
Tensor cat(const std::vector<Tensor>& tensors, std::int64_t dim);
/// The same along a new dim, at index `dim` of the result: tensors of one shape.
Tensor stack(const std::vector<Tensor>& tensors, std::int64_t dim = 0);

/// Views of consecutive parts: of the given sizes (whose sum is the dim's size), …
std::vector<Tensor> split(const Tensor& x, const std::vector<std::int64_t>& sizes, std::int64_t dim);
/// … of `size` each, the last one perhaps smaller, …
std::vector<Tensor> split(const Tensor& x, std::int64_t size, std::int64_t dim);
/// … or at most `chunks` parts of one size, the last one perhaps smaller.
std::vector<Tensor> chunk(const Tensor& x, std::int64_t chunks, std::int64_t dim);

}  // namespace gradus
