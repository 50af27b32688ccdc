#pragma once
// Pictures for networks that learn in a test.

#include <cmath>

#include "core/random.hpp"
#include "core/tensor.hpp"

namespace gradus::test {

/// Ten classes of small pictures that a network can tell apart: coloured waves under noise.
struct Pictures {
  Tensor images, labels;
  Pictures(std::int64_t n, std::int64_t size, std::int64_t classes, std::uint64_t seed) {
    Generator generator{seed, 0};
    images = empty({n, 3, size, size}, {.format = Format::channels_last});
    normal_(images, 0, 0.3, generator);
    labels = empty({n}, {.dtype = DType::i64});
    float* p = images.data<float>();
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t label = i % classes;
      labels.data<std::int64_t>()[i] = label;
      for (std::int64_t h = 0; h < size; ++h)
        for (std::int64_t w = 0; w < size; ++w)
          for (std::int64_t c = 0; c < 3; ++c)
            p[((i * size + h) * size + w) * 3 + c] += static_cast<float>(
                std::sin(static_cast<double>((label + 1) * (c == 0 ? h : w)) * 0.4 + static_cast<double>(c)));
    }
  }
};

}  // namespace gradus::test
