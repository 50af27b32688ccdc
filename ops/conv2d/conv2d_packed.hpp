#pragma once
// The packed product's inner kernels (conv2d_packed_simd.cpp), and how conv2d_packed.cpp hands them work.
//
// A product out = a b is cut into tiles of `rows` x `columns` that stay in registers over the depth. Both factors are
// packed into panels beforehand, a as [panel][depth][rows] and b as [panel][depth][columns], so that the innermost loop
// reads two short streams whatever the strides of the tensors: many channels at a power of two apart share too few
// cache sets to be read in place.

#include <cstdint>

#include "core/isa.hpp"
#include "ops/conv2d/conv2d_ahead.hpp"
#include "ops/conv2d/conv2d_finish.hpp"
#include "ops/conv2d/conv2d_moments.hpp"

namespace gradus {

/// out[r][c] = start[c] + Σ_d a[r][d] b[d][c], or out[r][c] += Σ_d …
struct PackedProduct {
  const float* a;  // panels of rows, one after the other
  const float* b;  // panels of columns, b_panel floats apart
  std::int64_t b_panel;
  std::int64_t depth, rows, columns;
  /// Not packed: a [depth][a_step] and b [depth][b_step] as they lie, for a stride of few cache lines. Up to kPackSlack
  /// floats beyond their last rows are read.
  std::int64_t a_step = 0, b_step = 0;
  float* const* out;                   // a pointer to each row
  const float* start;                  // [columns], or null for zeros
  bool add;                            // to what out holds; start is not looked at
  const ConvFinish* finish = nullptr;  // what is still done to the sum; null: nothing, or not yet
  const ResultSums* sums = nullptr;    // of the results, one for each kMomentTiles tiles of rows; or null
  std::int64_t channel = 0;            // of y, the first column: where finish's operands and the sums begin
  bool far = false;                    // b is not in L2: each panel is fetched while that before it is multiplied
  FetchAhead ahead{};                  // fetched after that
};

struct PackedSimd {
  int rows, columns;   // of a tile
  std::int64_t depth;  // of a product, at most: what is packed of both factors stays near
  /// Of a weight gradient, whose factors are both packed anew each time: leaves room for what is fetched ahead.
  std::int64_t weight_depth;
  /// to[panel][d][width] = line[panel·width + i][d]: lines become columns of panels. Beyond the last line, the last
  /// again. Writes up to kPackSlack floats beyond the last panel. width is rows or columns.
  void (*across)(const float* const* line, std::int64_t lines, std::int64_t depth, int width, float* to);
  /// to[panel·panel_step + d·width + i] = line[d][panel·width + i]: lines are cut into panels. Beyond the last channel,
  /// zero.
  void (*along)(const float* const* line, std::int64_t depth, std::int64_t channels, int width, float* to,
                std::int64_t panel_step);
  void (*multiply)(const PackedProduct&);
};
GRADUS_ISA_TABLE(PackedSimd, packed_simd)

inline constexpr std::int64_t kPackSlack = 64;
inline constexpr std::int64_t kMomentTiles = 12;

}  // namespace gradus
