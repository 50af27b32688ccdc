// Convolutions of few outputs. Where a pixel of y is one vector, a tile of the direct kernel reads as many values of x
// as it makes multiply-adds, and the loads bound it. Here a row's neighbouring outputs share what they read: a value
// meets its three taps at once, so that 16 outputs take 18 values and 3 vectors of weights for 48 multiply-adds. Values
// lie at fixed distances from one address, in rows packed beforehand.

#include <algorithm>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_narrow.hpp"

namespace gradus::GRADUS_ISA {
namespace {

/// `count` of PX neighbouring outputs of row i, from column j on.
template <int PX>
void tile(const ConvNarrow& t, std::int64_t i, std::int64_t j, std::int64_t count) {
  const VecN start = t.bias ? load_first(t.bias, t.channels) : VecN{};
  VecN acc[PX];
#pragma GCC unroll 16
  for (int p = 0; p < PX; ++p) acc[p] = start;
  for (std::int64_t d0 = 0; d0 < t.depth; d0 += kNarrowDepth) {
    const std::int64_t depth = std::min(kNarrowDepth, t.depth - d0);
    for (std::int64_t r = 0; r < t.taps_h; ++r) {
      const float* x = t.x + ((d0 / kNarrowDepth * t.x_rows + i + r) * t.x_columns + j) * kNarrowDepth;
      const float* w = t.w + (r * t.depth + d0) * 3 * kLanes;
      for (std::int64_t d = 0; d < depth; ++d, ++x, w += 3 * kLanes) {
        const VecN first = load(w), second = load(w + kLanes), third = load(w + 2 * kLanes);
#pragma GCC unroll 18
        for (int p = 0; p < PX + 2; ++p) {
          const VecN value = broadcast(x[p * kNarrowDepth]);
          if (p < PX) acc[p] += first * value;
          if (p >= 1 && p <= PX) acc[p - 1] += second * value;
          if (p >= 2) acc[p - 2] += third * value;
        }
      }
    }
  }
  float* y = t.y + i * t.y_row + j * t.y_pixel;
#pragma GCC unroll 16
  for (int p = 0; p < PX; ++p, y += t.y_pixel) {
    if (p >= count) break;
    const VecN sum = t.finish ? finished(acc[p], *t.finish, 0, y, t.channels) : acc[p];
    t.channels == kLanes ? store(y, sum) : store_first(y, sum, t.channels);
  }
  if (t.sums) {
    const float* first = t.y + i * t.y_row + j * t.y_pixel;
    add_up(*t.sums, 0, t.channels, 0, static_cast<int>(std::min<std::int64_t>(count, PX)),
           [&](int p) { return first + p * t.y_pixel; });
  }
}

void run(const ConvNarrow& t) {
  constexpr int kWide = kRegisters == 32 ? 16 : 8;
  for (std::int64_t i = 0; i < t.rows; ++i)
    for (std::int64_t j = 0; j < t.columns;) {
      const std::int64_t left = t.columns - j;
      if (kWide == 16 && left > 8) {
        tile<kWide>(t, i, j, std::min<std::int64_t>(left, kWide));
        j += kWide;
      } else {
        tile<8>(t, i, j, std::min<std::int64_t>(left, 8));
        j += 8;
      }
    }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ConvNarrowSimd, conv_narrow_simd, {.lanes = kLanes, .run = run})
