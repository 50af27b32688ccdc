// Direct convolution on vectors.
//
// gather: forward and backward-data. A tile of pixels x one block of output channels stays in registers over
// the whole depth (taps x input channels). Bound by the multiply-adds: per depth step 2 x 6 of them on AVX2 against
// 2 vector loads and 6 broadcasts, i.e. 6 cycles of arithmetic and 4 of loads.
//
// outer: backward-weights. For each tap, an outer product gy x summed over pixels. A tile of one block of output
// channels x a few input channels stays in registers over all pixels of a chunk. Bound by the multiply-adds in the same
// way; x and gy are packed so that every pixel is one cache line of each.

#include <algorithm>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_direct.hpp"

namespace gradus::GRADUS_ISA {
namespace {

constexpr int kBlockVectors = 2;
constexpr int kBlock = kBlockVectors * kLanes;
/// Pixels of a tile: accumulators fill the registers but for one block of weights and one broadcast input.
constexpr int kPixels = (kRegisters - kBlockVectors - 1) / kBlockVectors;
constexpr std::int64_t kWeightFloats = 128 << 10 >> 2;

/// One tile: V vectors of channels at `out[j]` for PX pixels whose first visible tap is at pixel[j].
template <int V, int PX>
inline void tile(const ConvGather& t, const float* const* pixel, const float* w, std::int64_t taps_h, std::int64_t runs,
                 std::int64_t run, VecN (&acc)[PX][V]) {
  const std::int64_t x_tap_h = t.tap_step_h * t.x_row, x_tap_w = t.tap_step_w * t.x_pixel;
  const std::int64_t w_tap_w = t.depth * V * kLanes, w_tap_h = t.taps_w * w_tap_w;
  for (std::int64_t r = 0; r < taps_h; ++r) {
    for (std::int64_t s = 0; s < runs; ++s) {
      const float* x[PX];
      for (int j = 0; j < PX; ++j) x[j] = pixel[j] + r * x_tap_h + s * x_tap_w;
      const float* wp = w + r * w_tap_h + s * w_tap_w;
#pragma GCC unroll 4
      for (std::int64_t c = 0; c < run; ++c, wp += V * kLanes) {
        VecN weight[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) weight[v] = load(wp + v * kLanes);
#pragma GCC unroll 32
        for (int j = 0; j < PX; ++j)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) acc[j][v] += weight[v] * x[j][c];
      }
    }
  }
}

struct TapWindow {
  const float* w;  // the block's weights at the first tap seen
  std::int64_t taps_h;
  std::int64_t runs, run;  // a row of taps as `runs` stretches of `run` consecutive floats of x
};

template <int V, int PX>
void finish_tile(const ConvGather& t, const TapWindow& win, const float* const* pixel, float* const* out,
                 std::int64_t k0, bool add, int pixels) {
  VecN acc[PX][V];
  const std::int64_t left = t.channels - k0;
  for (int v = 0; v < V; ++v) {
    const std::int64_t n = std::clamp<std::int64_t>(left - v * kLanes, 0, kLanes);
    if (add) {
      for (int j = 0; j < PX; ++j)
        acc[j][v] = n == kLanes ? load(out[j] + k0 + v * kLanes) : load_first(out[j] + k0 + v * kLanes, n);
    } else {
      VecN start{};
      if (t.bias) start = n == kLanes ? load(t.bias + k0 + v * kLanes) : load_first(t.bias + k0 + v * kLanes, n);
      for (int j = 0; j < PX; ++j) acc[j][v] = start;
    }
  }
  tile<V, PX>(t, pixel, win.w, win.taps_h, win.runs, win.run, acc);
  if (left >= V * kLanes) {
#pragma GCC unroll 32
    for (int j = 0; j < PX; ++j) {
      if (j >= pixels) break;
      for (int v = 0; v < V; ++v) store(out[j] + k0 + v * kLanes, acc[j][v]);
    }
  } else {
    for (int j = 0; j < pixels; ++j)
      for (int v = 0; v < V; ++v) {
        const std::int64_t n = std::clamp<std::int64_t>(left - v * kLanes, 0, kLanes);
        store_first(out[j] + k0 + v * kLanes, acc[j][v], n);
      }
  }
}

/// All pixels of a rectangle rows x columns (of every image) that share their taps, tile after tile.
template <int V>
void rectangle(const ConvGather& t, const TapWindow& win, std::int64_t k0, std::int64_t d0, const ConvSegment& row,
               std::int64_t i0, std::int64_t i1, const ConvSegment& column) {
  constexpr int kTile = V == 1 ? 8 : kPixels;
  const float* pixel[kTile];
  float* out[kTile];
  const std::int64_t x_step = t.in_step_w * t.x_pixel;
  std::int64_t n = 0, i = i0, j = column.count;
  const float* x = nullptr;
  float* y = nullptr;
  for (std::int64_t left = t.images * (i1 - i0) * column.count; left > 0;) {
    const int pixels = static_cast<int>(std::min<std::int64_t>(left, kTile));
    for (int m = 0; m < pixels; ++m) {
      if (j == column.count) {  // the next row
        x = t.x + n * t.x_image + (row.in0 + (i - row.first) * t.in_step_h) * t.x_row + column.in0 * t.x_pixel + d0;
        y = t.y + n * t.y_image + i * t.y_row + column.first * t.y_pixel;
        j = 0;
        if (++i == i1) i = i0, ++n;
      }
      pixel[m] = x, out[m] = y;
      x += x_step, y += t.y_pixel, ++j;
    }
    for (int m = pixels; m < kTile; ++m) pixel[m] = pixel[0], out[m] = out[0];
    if (V == 2 && pixels <= 4)
      finish_tile<V, 4>(t, win, pixel, out, k0, d0 > 0, pixels);
    else
      finish_tile<V, kTile>(t, win, pixel, out, k0, d0 > 0, pixels);
    left -= pixels;
  }
}

void gather(const ConvGather& t) {
  const std::int64_t vectors = (t.channels + kLanes - 1) / kLanes;
  const std::int64_t taps = t.taps_h * t.taps_w;
  // Weights are read again for every tile: as much depth at a time as leaves a block's weights in a corner of L2. The
  // later stretches of depth add to what the first wrote.
  const std::int64_t stretches = (taps * t.depth * kBlock + kWeightFloats - 1) / kWeightFloats;
  const std::int64_t stretch = ((t.depth + stretches - 1) / std::max<std::int64_t>(stretches, 1) + 15) / 16 * 16;
  // Neighbouring taps of a row lie side by side in x unless the convolution is dilated or grouped: one long run.
  const bool joined = t.tap_step_w == 1 && t.x_pixel == t.depth && stretches <= 1;
  for (std::int64_t d0 = 0; d0 < t.depth; d0 += stretch)
    for (std::int64_t b = t.block_begin; b < t.block_end; ++b) {
      const bool full = (b + 1) * kBlockVectors <= vectors;
      const std::int64_t lanes = full ? kBlock : kLanes;
      const float* block = t.w + b * kBlock * taps * t.depth;
      for (std::int64_t a = 0; a < t.row_segments; ++a) {
        const ConvSegment& row = t.rows[a];
        const std::int64_t i0 = std::max(row.first, t.row_begin), i1 = std::min(row.first + row.count, t.row_end);
        if (i0 >= i1) continue;
        for (std::int64_t e = 0; e < t.column_segments; ++e) {
          const ConvSegment& column = t.columns[e];
          TapWindow win;
          win.w = block + ((row.tap0 * t.taps_w + column.tap0) * t.depth + d0) * lanes;
          win.taps_h = row.taps;
          win.runs = joined ? (column.taps > 0) : column.taps;
          win.run = joined ? column.taps * t.depth : std::min(stretch, t.depth - d0);
          if (full)
            rectangle<2>(t, win, b * kBlock, d0, row, i0, i1, column);
          else
            rectangle<1>(t, win, b * kBlock, d0, row, i0, i1, column);
        }
      }
    }
}

// ---- backward-weights

constexpr int kDepth = (kRegisters - kBlockVectors - 1) / kBlockVectors;

/// D input channels x V vectors of output channels, over images x rows x columns.
template <int V, int D>
void sweep(const ConvOuter& t, const float* x0, const float* gy0, std::int64_t rows, std::int64_t columns, float* out) {
  VecN acc[D][V];
#pragma GCC unroll 32
  for (int d = 0; d < D; ++d)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[d][v] = load(out + (d * V + v) * kLanes);
  const std::int64_t x_step = t.in_step_w * t.x_pixel, x_row_step = t.in_step_h * t.x_row, gy_step = t.gy_pixel;
  for (std::int64_t n = 0; n < t.images; ++n)
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* x = x0 + n * t.x_image + i * x_row_step;
      const float* gy = gy0 + n * t.gy_image + i * t.gy_row;
#pragma GCC unroll 2
      for (std::int64_t j = 0; j < columns; ++j, x += x_step, gy += gy_step) {
        VecN g[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) g[v] = load(gy + v * kLanes);
#pragma GCC unroll 32
        for (int d = 0; d < D; ++d)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) acc[d][v] += g[v] * x[d];
      }
    }
#pragma GCC unroll 32
  for (int d = 0; d < D; ++d)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(out + (d * V + v) * kLanes, acc[d][v]);
}

template <int V, int D>
void sweep_at_most(int depth, const ConvOuter& t, const float* x, const float* gy, std::int64_t rows,
                   std::int64_t columns, float* out) {
  if (depth == D) return sweep<V, D>(t, x, gy, rows, columns, out);
  if constexpr (D > 1) sweep_at_most<V, D - 1>(depth, t, x, gy, rows, columns, out);
}

template <int V>
void block_taps(const ConvOuter& t, const float* x, const float* gy, std::int64_t d0, std::int64_t d1, float* acc) {
  constexpr int kTile = V == 2 ? kDepth : 8;
  for (std::int64_t r = 0; r < t.taps_h; ++r)
    for (std::int64_t s = 0; s < t.taps_w; ++s) {
      const ConvSegment &row = t.tap_rows[r], &column = t.tap_columns[s];
      if (row.count == 0 || column.count == 0) continue;
      const float* xp = x + row.in0 * t.x_row + column.in0 * t.x_pixel;
      const float* gp = gy + row.first * t.gy_row + column.first * t.gy_pixel;
      float* out = acc + ((r * t.taps_w + s) * t.depth + d0) * V * kLanes;
      // Even tiles: 16 = 6 + 5 + 5, not 6 + 6 + 4; too small a tile leaves the multipliers waiting for each other.
      std::int64_t tiles = (d1 - d0 + kTile - 1) / kTile;
      for (std::int64_t d = 0, left = d1 - d0; left > 0; --tiles) {
        const int size = static_cast<int>((left + tiles - 1) / tiles);
        sweep_at_most<V, kTile>(size, t, xp + d, gp, row.count, column.count, out + d * V * kLanes);
        d += size, left -= size;
      }
    }
}

void outer(const ConvOuter& t) {
  const std::int64_t vectors = (t.channels + kLanes - 1) / kLanes;
  const std::int64_t taps_depth = t.taps_h * t.taps_w * t.depth;
  for (std::int64_t d0 = 0; d0 < t.depth; d0 += kConvDepthBlock) {  // a block of x stays in L1 over all of gy
    const std::int64_t d1 = std::min(d0 + kConvDepthBlock, t.depth);
    const float* x = t.x + d0 / kConvDepthBlock * t.x_depth_block;
    for (std::int64_t b = 0; b * kBlockVectors < vectors; ++b) {
      const float* gy = t.gy + b * t.gy_block;
      float* acc = t.acc + b * kBlock * taps_depth;
      if ((b + 1) * kBlockVectors <= vectors)
        block_taps<2>(t, x, gy, d0, d1, acc);
      else
        block_taps<1>(t, x, gy, d0, d1, acc);
    }
  }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ConvSimd, conv_simd, {.block = kBlock, .gather = gather, .outer = outer})
