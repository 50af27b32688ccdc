#pragma once
// What conv2d_narrow.cpp hands to its kernel (conv2d_narrow_simd.cpp): rows of three taps and stride 1, whose output
// pixel is one vector.

#include <cstdint>

#include "core/isa.hpp"
#include "ops/conv2d/conv2d_finish.hpp"
#include "ops/conv2d/conv2d_moments.hpp"

namespace gradus {

inline constexpr std::int64_t kNarrowDepth = 16;   // channels of x that lie together when packed
inline constexpr std::int64_t kNarrowColumns = 8;  // row lengths are multiples of it, and two columns more

/// y[i, j, k] = bias[k] + Σ over tap rows r, taps s and depth d of w[r, d, s, k] x[i + r, j + s, d], for `rows` rows of
/// `columns` pixels.
struct ConvNarrow {
  const float* x;                  // [⌈depth / 16⌉][x_rows][x_columns][16], zeros for padding
  std::int64_t x_rows, x_columns;  // x_columns: columns, rounded up, and 2
  std::int64_t depth, taps_h;
  const float* w;            // [tap row][depth][3][lanes]
  const float* bias;         // [channels] or null
  const ConvFinish* finish;  // null: the sum is the result
  const ResultSums* sums;    // of the results, or null
  float* y;
  std::int64_t y_row, y_pixel;           // floats between neighbours
  std::int64_t rows, columns, channels;  // channels: at most `lanes`
};

struct ConvNarrowSimd {
  int lanes;
  void (*run)(const ConvNarrow&);
};
GRADUS_ISA_TABLE(ConvNarrowSimd, conv_narrow_simd)

}  // namespace gradus
