#pragma once
// The direct convolution's inner kernels, compiled once per instruction set (conv2d_*_simd.cpp), and the plain structs
// by which conv2d_direct.cpp hands them work. Layers above use conv2d_kernels.hpp.
//
// Everything is channels-last. A "block" is the output channels that stay in registers: up to four native vectors (two
// without AVX-512), fewer for a remainder. Weights are packed as [block][tap row][tap column][depth][channel of the
// block], so that the innermost loop reads them in order; the weight gradient is accumulated in the same layout.

#include <algorithm>
#include <cstdint>

#include "core/isa.hpp"
#include "ops/conv2d/conv2d_ahead.hpp"
#include "ops/conv2d/conv2d_finish.hpp"
#include "ops/conv2d/conv2d_moments.hpp"

namespace gradus {

/// Channels of a full block where `channels` are cut into as few blocks of at most `most` vectors of `lanes` as can be,
/// and these as even as can be.
inline std::int64_t even_block(std::int64_t channels, std::int64_t lanes, std::int64_t most) {
  const std::int64_t vectors = std::max<std::int64_t>((channels + lanes - 1) / lanes, 1);
  const std::int64_t blocks = (vectors + most - 1) / most;
  return (vectors + blocks - 1) / blocks * lanes;
}
/// Of block b: the last one has as many vectors as its channels need.
inline std::int64_t block_lanes(std::int64_t channels, std::int64_t block, std::int64_t lanes, std::int64_t b) {
  return std::min(block, (channels - b * block + lanes - 1) / lanes * lanes);
}

/// Outputs first, first + 1, … (`count` of them) along one axis that see the same taps [tap0, tap0 + taps). The first
/// of those taps reads input position in0 at output `first`, and in_step further on at each following output. Positions
/// on padding never appear: the taps that would read them are left out.
struct ConvSegment {
  std::int64_t first, count;
  std::int64_t tap0, taps;
  std::int64_t in0;
};

/// y[n, i, j, k] = bias[k] + sum over taps and depth of w · x, for images [0, images), rows [row_begin, row_end), all
/// columns, and blocks [block_begin, block_end). Forward convolution, and backward-data of one stride phase.
struct ConvGather {
  const float* x;
  std::int64_t x_image, x_row, x_pixel;  // floats between neighbours
  std::int64_t in_step_h, in_step_w;     // input rows (columns) between neighbouring outputs
  std::int64_t tap_step_h, tap_step_w;   // input rows (columns) between neighbouring taps
  std::int64_t depth;                    // channels summed over at each tap
  float* y;
  std::int64_t y_image, y_row, y_pixel;
  const float* w;  // packed
  std::int64_t taps_h, taps_w;
  const float* bias;         // [channels] or null
  bool add;                  // to what y holds; bias is not looked at
  const ConvFinish* finish;  // null: the sum is the result
  const ResultSums* sums;    // of the whole pixels that are written, or null
  std::int64_t channel;      // of y, the first of `channels`: where finish's operands begin
  std::int64_t channels;     // outputs' channels
  std::int64_t block;        // of a full block
  const ConvSegment* rows;
  const ConvSegment* columns;
  std::int64_t row_segments, column_segments;
  /// Pixels of `depth` floats, as many as the call has and next_pixel floats apart, that are read after those of x:
  /// fetched into L2 meanwhile. Null: none.
  const float* next;
  std::int64_t next_pixel;
  std::int64_t first_image;  // of the whole batch that x and y point to
  std::int64_t images, row_begin, row_end, block_begin, block_end;
};

/// acc[block][tap][depth][lane] += sum over pixels of x · gy, for one packed chunk of pixels.
/// x is packed [depth / kDepthBlock][image][row][column][kDepthBlock], gy [block][image][row][column][block lanes].
struct ConvOuter {
  const float* x;
  std::int64_t x_depth_block, x_image, x_row, x_pixel;  // floats between neighbours
  const float* gy;
  std::int64_t gy_block, gy_image, gy_row, gy_pixel;
  float* acc;
  std::int64_t taps_h, taps_w, depth, channels, block;  // block: channels of a full one
  std::int64_t images, in_step_h, in_step_w, tap_step_h, tap_step_w;
  const ConvSegment* tap_rows;  // for each tap row: the output rows that see it (first, count) and in0 at the first
  const ConvSegment* tap_columns;
  /// The taps of a row together, where joins_taps(): gy then has a margin of zeros, `margin` pixels at both ends of a
  /// row, and neither tap_columns nor ahead is looked at. -1: each tap by itself.
  std::int64_t margin, x_columns;  // x_columns: pixels of a row of x
  FetchAhead ahead;                // meanwhile
};

/// Whether outer() takes three taps of a row together: a value of x then serves three multiply-adds. Worth it where a
/// pixel of gy is so few vectors that they alone would give a tile too few.
inline bool joins_taps(std::int64_t taps_w, std::int64_t stride_w, std::int64_t dilation_w, std::int64_t padding_w,
                       std::int64_t block_vectors, std::int64_t most_vectors) {
  return taps_w == 3 && stride_w == 1 && dilation_w == 1 && padding_w <= 2 && block_vectors * 2 <= most_vectors;
}

struct ConvSimd {
  int lanes, block_vectors;  // of a vector, and at most of a block
  void (*gather)(const ConvGather&);
  void (*outer)(const ConvOuter&);
  /// to[block][pixel][block channels] = the channels [0, channels) of `pixels` pixels, pixel_step floats apart; zeros
  /// beyond the last channel. block: a multiple of `lanes`.
  void (*pack_pixels)(float* to, std::int64_t block_step, const float* from, std::int64_t pixel_step,
                      std::int64_t pixels, std::int64_t channels, std::int64_t block);
  /// x[r][i] = [relu](x[r][i] · scale[i] + shift[i]) for a panel of rows, `width` floats each, a multiple of 4.
  void (*normalise)(float* x, std::int64_t rows, std::int64_t width, const float* scale, const float* shift, bool relu);
};
GRADUS_ISA_TABLE(ConvSimd, conv_simd)
/// AVX-512: what the choice among kernels asks of the machine.
inline bool has_wide_vectors() { return conv_simd().lanes == 16; }

/// The same two for groups of few channels, where a vector of outputs spans several groups: lane k reads x of its own
/// group, g·depth + d. As many inputs as outputs; depth must divide `lanes`; weights and accumulators are packed
/// [lanes of outputs][tap row][tap column][d][lane]; no bias in outer, one image of it, and its x and gy are packed in
/// blocks of `lanes` (x_depth_block and gy_block from one to the next).
struct ConvGroupsSimd {
  int lanes;
  void (*gather)(const ConvGather&);
  void (*outer)(const ConvOuter&);
};
GRADUS_ISA_TABLE(ConvGroupsSimd, conv_groups_simd)

inline constexpr std::int64_t kConvDepthBlock = 16;

}  // namespace gradus
