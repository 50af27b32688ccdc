#pragma once
// One tensor in every memory layout an operator may be given.

#include <vector>

#include "core/random.hpp"
#include "ops/view/view.hpp"

namespace gradus {

/// x's values: contiguous; channels-last (rank 4); the first two dims swapped in memory; every second element of a
/// larger tensor. All of them off the tape, on storage of their own.
inline std::vector<Tensor> in_layouts(const Tensor& x) {
  const Tensor values = x.detach();
  std::vector<Tensor> all{values.clone(Format::contiguous)};
  if (x.rank() == 4) all.push_back(values.clone(Format::channels_last));
  if (x.rank() >= 2) all.push_back(transpose(transpose(values, 0, 1).clone(Format::contiguous), 0, 1));
  if (x.rank() >= 1) {
    Shape doubled = x.shape();
    doubled[x.rank() - 1] *= 2;
    Tensor larger = empty(doubled, {.dtype = x.dtype()});
    larger.fill_(77);
    all.push_back(slice(larger, -1, 0, doubled.back(), 2));
    all.back().copy_(values);
  }
  return all;
}

/// Random values, uniform in [low, high), in every layout.
inline std::vector<Tensor> layouts(const Shape& shape, DType dtype = DType::f64, double low = -2, double high = 2) {
  static Generator generator{11, 0};
  Tensor x = empty(shape, {.dtype = dtype});
  uniform_(x, low, high, generator);
  return in_layouts(x);
}

}  // namespace gradus
