#pragma once
// What the backward pass of a batch norm adds up first, taken by the kernel that wrote its gradient while that was
// near: one pass over memory less. The sums travel beside the gradient's storage.

#include <memory>
#include <vector>

#include "core/tensor.hpp"

namespace gradus {

/// Of the gradient g of y = [relu](x · scale + shift): over all rows, per channel, g and g · (x - mean), with g as 0
/// where ReLU is shut.
struct GradientSums final : Derived {
  std::uint64_t version = 0;    // of g's storage
  const void* first = nullptr;  // element of g
  Tensor scale;                 // of the batch norm they were taken for
  std::vector<double> sum_g, sum_gx;
};

/// Those that were taken of g for the batch norm of this `scale`; null where there are none, or g was written since.
inline std::shared_ptr<GradientSums> gradient_sums(const Tensor& g, const Tensor& scale) {
  const Storage& storage = g.storage();
  auto sums = std::dynamic_pointer_cast<GradientSums>(storage.derived);
  const bool fits = sums && sums->version == storage.version && sums->first == g.data_ptr() &&
                    sums->scale.data_ptr() == scale.data_ptr();
  return fits ? sums : nullptr;
}

}  // namespace gradus
