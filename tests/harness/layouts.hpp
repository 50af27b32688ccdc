#pragma once
// One shape in every memory layout an operator may be given.

#include <vector>

#include "core/random.hpp"
#include "ops/view/view.hpp"

namespace gradus {

/// Random tensors of that shape, uniform in [low, high): contiguous; channels-last (rank 4); the first two dims swapped
/// in memory; every second element of a larger tensor. All off the tape.
inline std::vector<Tensor> layouts(const Shape& shape, DType dtype = DType::f64, double low = -2, double high = 2) {
  static Generator generator{11, 0};
  const auto random = [&](const Shape& s) {
    Tensor x = empty(s, {.dtype = dtype});
    uniform_(x, low, high, generator);
    return x;
  };
  std::vector<Tensor> all{random(shape)};
  if (shape.size() == 4) all.push_back(channels_last(random(shape)));
  if (shape.size() >= 2) {
    Shape swapped = shape;
    std::swap(swapped[0], swapped[1]);
    all.push_back(transpose(random(swapped), 0, 1));
  }
  if (shape.size() >= 1) {
    Shape doubled = shape;
    doubled[shape.size() - 1] *= 2;
    all.push_back(slice(random(doubled), -1, 0, doubled.back(), 2));
  }
  return all;
}

}  // namespace gradus
