// Direct convolution on vectors.
//
// gather: forward and backward-data. A tile of pixels x one block of output channels stays in registers over
// the whole depth (taps x input channels). Bound by the multiply-adds: per depth step 2 x 6 of them on AVX2 against
// 2 vector loads and 6 broadcasts, i.e. 6 cycles of arithmetic and 4 of loads (conv2d_tile.hpp).
//
// outer: backward-weights. For each tap, an outer product gy x summed over pixels. A tile of one block of output
// channels x a few input channels stays in registers over all pixels of a chunk. Bound by the multiply-adds in the same
// way; x and gy are packed so that every pixel is one cache line of each.

#include <algorithm>
#include <limits>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_direct.hpp"
#include "ops/conv2d/conv2d_tile.hpp"

namespace gradus::GRADUS_ISA {
namespace {

/// Pixels of a tile of V vectors. More than eight have more addresses than the machine has registers for.
constexpr int kMostPixels = 8;
template <int V>
constexpr int kPixels = std::min(kTileRows<V>, kMostPixels);
constexpr std::int64_t kWeightFloats = kTileVectors * (64 << 10 >> 2);

struct TapWindow {
  const float* w;  // the block's weights at the first tap seen
  std::int64_t taps_h;
  std::int64_t runs, run;  // a row of taps as `runs` stretches of `run` consecutive floats of x
  bool last;               // no stretch of depth follows
  const float* next;       // for the list's first pixel: ConvGather::next at this stretch of depth; or null
};

/// One tile: V vectors of channels at `out[j]` for PX pixels whose first visible tap is at pixel[j]. kFetch: asks for
/// as much of eight pixels from `next` on, a line every other step, as many at once would hold up the loads.
template <int V, int PX, bool kFetch>
inline void tile(const ConvGather& t, const float* const* pixel, const TapWindow& win, std::int64_t d0,
                 [[maybe_unused]] const float* next, VecN (&acc)[PX][V]) {
  const std::int64_t x_tap_h = t.tap_step_h * t.x_row, x_tap_w = t.tap_step_w * t.x_pixel;
  const std::int64_t w_tap_w = t.depth * V * kLanes, w_tap_h = t.taps_w * w_tap_w;
  for (std::int64_t r = 0; r < win.taps_h; ++r) {
    for (std::int64_t s = 0; s < win.runs; ++s) {
      const float* x[PX];
      for (int j = 0; j < PX; ++j) x[j] = pixel[j] + d0 + r * x_tap_h + s * x_tap_w;
      const float* wp = win.w + r * w_tap_h + s * w_tap_w;
      const auto step = [&](std::int64_t c) __attribute__((always_inline)) {
        VecN weight[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) weight[v] = load(wp + v * kLanes);
#pragma GCC unroll 32
        for (int j = 0; j < PX; ++j)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) acc[j][v] += weight[v] * x[j][c];
        wp += V * kLanes;
      };
      std::int64_t c = 0;
      if constexpr (kFetch) {
        while (c + 16 <= win.run) {
          const float* line = next + c;
          for (int j = 0; j < 8; ++j, c += 2, line += t.next_pixel) {
            __builtin_prefetch(line, 0, 2);
            step(c);
            step(c + 1);
          }
        }
      }
#pragma GCC unroll 4
      for (; c < win.run; ++c) step(c);
    }
  }
}

/// A function of its own: inlined into its callers' loops, the sums lose their registers.
template <int V, int PX, bool kFetch = false>
[[gnu::noinline]] void finish_tile(const ConvGather& t, const TapWindow& win, const float* const* pixel,
                                   float* const* out, std::int64_t d0, std::int64_t k0, int pixels,
                                   const float* next = nullptr) {
  VecN acc[PX][V];
  const std::int64_t left = t.channels - k0;
  for (int j = 0; j < PX; ++j)
    for (int v = 0; v < V; ++v) __builtin_prefetch(out[j] + k0 + v * kLanes, 1);
  for (int v = 0; v < V; ++v) {
    const std::int64_t n = std::clamp<std::int64_t>(left - v * kLanes, 0, kLanes);
    if (d0 > 0 || t.add) {
      for (int j = 0; j < PX; ++j)
        acc[j][v] = n == kLanes ? load(out[j] + k0 + v * kLanes) : load_first(out[j] + k0 + v * kLanes, n);
    } else {
      VecN start{};
      if (t.bias) start = n == kLanes ? load(t.bias + k0 + v * kLanes) : load_first(t.bias + k0 + v * kLanes, n);
      for (int j = 0; j < PX; ++j) acc[j][v] = start;
    }
  }
  tile<V, PX, kFetch>(t, pixel, win, d0, next, acc);
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
  if (win.last && t.sums)
    add_up(*t.sums, k0, std::min<std::int64_t>(left, V * kLanes), 0, pixels, [&](int j) { return out[j] + k0; });
  if (win.last && t.finish)
    for (int j = 0; j < pixels; ++j)
      finish(*t.finish, t.channel + k0, out[j] + k0, std::min<std::int64_t>(left, V * kLanes));
}

/// Pixels that share their taps, listed once and passed over by every block.
struct PixelList {
  static constexpr int kCapacity = 240;     // x and y of a chunk stay near; a multiple of the tiles' sizes
  const float* x[kCapacity + kMostPixels];  // the first visible tap; beyond `count`, repeats of the first pixel
  float* y[kCapacity + kMostPixels];
  int count;
  std::int64_t before;  // pixels of the call that are done
};

template <int V, int PX>
void tiles(const ConvGather& t, const TapWindow& win, const PixelList& list, std::int64_t k0, std::int64_t d0) {
  int m = 0;
  if constexpr (V > 1)  // one vector has no loads to spare
    for (; win.next && m + 4 < list.count; m += PX)
      finish_tile<V, PX, true>(t, win, list.x + m, list.y + m, d0, k0, std::min(PX, list.count - m),
                               win.next + m * t.next_pixel);
  for (; m + 4 < list.count || (PX <= 4 && m < list.count); m += PX)
    finish_tile<V, PX>(t, win, list.x + m, list.y + m, d0, k0, std::min(PX, list.count - m));
  if (m < list.count) finish_tile<V, 4>(t, win, list.x + m, list.y + m, d0, k0, list.count - m);
}

/// All blocks for the listed pixels.
void blocks(const ConvGather& t, const ConvSegment& row, const ConvSegment& column, PixelList& list) {
  for (int m = list.count; m < list.count + kMostPixels; ++m) list.x[m] = list.x[0], list.y[m] = list.y[0];
  const std::int64_t taps = t.taps_h * t.taps_w;
  // Weights are read again for every tile: as much depth at a time as leaves a block's weights in a corner of L2. The
  // later stretches of depth add to what the first wrote.
  const std::int64_t stretches =
      std::max<std::int64_t>((taps * t.depth * t.block + kWeightFloats - 1) / kWeightFloats, 1);
  const std::int64_t stretch = ((t.depth + stretches - 1) / stretches + 15) / 16 * 16;
  // Neighbouring taps of a row lie side by side in x unless the convolution is dilated or grouped: one long run.
  const bool joined = t.tap_step_w == 1 && t.x_pixel == t.depth && stretches == 1;
  for (std::int64_t d0 = 0; d0 < t.depth; d0 += stretch)
    for (std::int64_t b = t.block_begin; b < t.block_end; ++b) {
      const std::int64_t lanes = block_lanes(t.channels, t.block, kLanes, b);
      TapWindow win;
      win.w = t.w + b * t.block * taps * t.depth + ((row.tap0 * t.taps_w + column.tap0) * t.depth + d0) * lanes;
      win.taps_h = row.taps;
      win.last = d0 + stretch >= t.depth;
      win.next = t.next && b == t.block_begin ? t.next + list.before * t.next_pixel + d0 : nullptr;
      win.runs = joined ? (column.taps > 0) : column.taps;
      win.run = joined ? column.taps * t.depth : std::min(stretch, t.depth - d0);
      with_vectors(lanes / kLanes, [&](auto v) { tiles<v, kPixels<v>>(t, win, list, b * t.block, d0); });
    }
}

void gather(const ConvGather& t) {
  PixelList list;
  list.before = 0;
  for (std::int64_t a = 0; a < t.row_segments; ++a) {
    const ConvSegment& row = t.rows[a];
    const std::int64_t i0 = std::max(row.first, t.row_begin), i1 = std::min(row.first + row.count, t.row_end);
    for (std::int64_t e = 0; e < t.column_segments; ++e) {
      const ConvSegment& column = t.columns[e];
      list.count = 0;
      for (std::int64_t n = 0; n < t.images; ++n)
        for (std::int64_t i = i0; i < i1; ++i) {
          const float* x =
              t.x + n * t.x_image + (row.in0 + (i - row.first) * t.in_step_h) * t.x_row + column.in0 * t.x_pixel;
          float* y = t.y + n * t.y_image + i * t.y_row + column.first * t.y_pixel;
          for (std::int64_t j = 0; j < column.count; ++j, x += t.in_step_w * t.x_pixel, y += t.y_pixel) {
            list.x[list.count] = x, list.y[list.count] = y;
            if (++list.count == PixelList::kCapacity) {
              blocks(t, row, column, list);
              list.before += list.count;
              list.count = 0;
            }
          }
        }
      if (list.count > 0) blocks(t, row, column, list);
    }
  }
}

// ---- backward-weights

/// D input channels x V vectors of output channels, over images x rows x columns.
template <int V, int D>
[[gnu::noinline]] void sweep(const ConvOuter& t, const float* x0, const float* gy0, std::int64_t rows,
                             std::int64_t columns, float* out, FetchCursor& ahead) {
  FetchCursor fetch = ahead;
  VecN acc[D][V];
#pragma GCC unroll 32
  for (int d = 0; d < D; ++d)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[d][v] = VecN{};
  for (int e = 0; e < D * V; ++e) __builtin_prefetch(out + e * kLanes, 1);  // added to at the end
  const std::int64_t x_step = t.in_step_w * t.x_pixel, x_row_step = t.in_step_h * t.x_row, gy_step = t.gy_pixel;
  for (std::int64_t n = 0; n < t.images; ++n)
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* x = x0 + n * t.x_image + i * x_row_step;
      const float* gy = gy0 + n * t.gy_image + i * t.gy_row;
      for (std::int64_t j = 0; j < columns; j += 2) {
        fetch.next();
#pragma GCC unroll 2
        for (int e = 0; e < 2; ++e, x += x_step, gy += gy_step) {
          if (e == 1 && j + 1 == columns) break;
          VecN g[V];
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) g[v] = load(gy + v * kLanes);
#pragma GCC unroll 32
          for (int d = 0; d < D; ++d)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) acc[d][v] += g[v] * x[d];
        }
      }
    }
  ahead = fetch;
#pragma GCC unroll 32
  for (int d = 0; d < D; ++d)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* to = out + (d * V + v) * kLanes;
      store(to, load(to) + acc[d][v]);
    }
}

template <int V, int D>
void sweep_at_most(int depth, const ConvOuter& t, const float* x, const float* gy, std::int64_t rows,
                   std::int64_t columns, float* out, FetchCursor& ahead) {
  if (depth == D) return sweep<V, D>(t, x, gy, rows, columns, out, ahead);
  if constexpr (D > 1) sweep_at_most<V, D - 1>(depth, t, x, gy, rows, columns, out, ahead);
}

/// As sweep(), for three taps of a row: x at column j meets gy at columns j + 2, j + 1 and j of a row with its margin.
template <int V, int D>
void sweep_joined(const ConvOuter& t, const float* x0, const float* gy0, std::int64_t rows, float* out) {
  const std::int64_t tap = t.depth * V * kLanes;
  VecN acc[D][3][V];
#pragma GCC unroll 32
  for (int d = 0; d < D; ++d)
#pragma GCC unroll 3
    for (int s = 0; s < 3; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[d][s][v] = VecN{};
  for (int s = 0; s < 3; ++s)
    for (int e = 0; e < D * V; ++e) __builtin_prefetch(out + s * tap + e * kLanes, 1);
  for (std::int64_t n = 0; n < t.images; ++n)
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* x = x0 + n * t.x_image + i * t.x_row;
      const float* gy = gy0 + n * t.gy_image + i * t.gy_row;
      for (std::int64_t j = 0; j < t.x_columns; ++j, x += t.x_pixel, gy += t.gy_pixel) {
        VecN g[3][V];
#pragma GCC unroll 3
        for (int s = 0; s < 3; ++s)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) g[s][v] = load(gy + (2 - s) * t.gy_pixel + v * kLanes);
#pragma GCC unroll 32
        for (int d = 0; d < D; ++d)
#pragma GCC unroll 3
          for (int s = 0; s < 3; ++s)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) acc[d][s][v] += g[s][v] * x[d];
      }
    }
#pragma GCC unroll 32
  for (int d = 0; d < D; ++d)
#pragma GCC unroll 3
    for (int s = 0; s < 3; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        float* to = out + s * tap + (d * V + v) * kLanes;
        store(to, load(to) + acc[d][s][v]);
      }
}

template <int V, int D>
void sweep_joined_at_most(int depth, const ConvOuter& t, const float* x, const float* gy, std::int64_t rows,
                          float* out) {
  if (depth == D) return sweep_joined<V, D>(t, x, gy, rows, out);
  if constexpr (D > 1) sweep_joined_at_most<V, D - 1>(depth, t, x, gy, rows, out);
}

/// fn(d, size): the channels [0, depth) in tiles of at most `most`, even ones: 16 = 6 + 5 + 5, not 6 + 6 + 4; too small
/// a tile leaves the multipliers waiting for each other.
template <class Fn>
void even_tiles(std::int64_t depth, int most, Fn&& fn) {
  std::int64_t tiles = (depth + most - 1) / most;
  for (std::int64_t d = 0, left = depth; left > 0; --tiles) {
    const int size = static_cast<int>((left + tiles - 1) / tiles);
    fn(d, size);
    d += size, left -= size;
  }
}

template <int V>
void block_rows_joined(const ConvOuter& t, const float* x, const float* gy, std::int64_t d0, std::int64_t d1,
                       float* acc) {
  constexpr int kTile = kTileRows<3 * V>;
  for (std::int64_t r = 0; r < t.taps_h; ++r) {
    const ConvSegment& row = t.tap_rows[r];
    if (row.count == 0) continue;
    const float* xp = x + row.in0 * t.x_row;
    const float* gp = gy + row.first * t.gy_row;
    float* out = acc + (r * 3 * t.depth + d0) * V * kLanes;
    even_tiles(d1 - d0, kTile, [&](std::int64_t d, int size) {
      sweep_joined_at_most<V, kTile>(size, t, xp + d, gp, row.count, out + d * V * kLanes);
    });
  }
}

template <int V>
void block_taps(const ConvOuter& t, const float* x, const float* gy, std::int64_t d0, std::int64_t d1, float* acc,
                FetchAhead& ahead) {
  constexpr int kTile = V == 1 ? 8 : kTileRows<V>;
  for (std::int64_t r = 0; r < t.taps_h; ++r)
    for (std::int64_t s = 0; s < t.taps_w; ++s) {
      const ConvSegment &row = t.tap_rows[r], &column = t.tap_columns[s];
      if (row.count == 0 || column.count == 0) continue;
      const float* xp = x + row.in0 * t.x_row + column.in0 * t.x_pixel;
      const float* gp = gy + row.first * t.gy_row + column.first * t.gy_pixel;
      float* out = acc + ((r * t.taps_w + s) * t.depth + d0) * V * kLanes;
      even_tiles(d1 - d0, kTile, [&](std::int64_t d, int size) {
        sweep_at_most<V, kTile>(size, t, xp + d, gp, row.count, column.count, out + d * V * kLanes, ahead.current());
      });
    }
}

void outer(const ConvOuter& t) {
  const std::int64_t taps_depth = t.taps_h * t.taps_w * t.depth;
  FetchAhead ahead = t.ahead;
  for (std::int64_t d0 = 0; d0 < t.depth; d0 += kConvDepthBlock) {  // a block of x stays in L1 over all of gy
    const std::int64_t d1 = std::min(d0 + kConvDepthBlock, t.depth);
    const float* x = t.x + d0 / kConvDepthBlock * t.x_depth_block;
    for (std::int64_t b = 0; b * t.block < t.channels; ++b) {
      const float* gy = t.gy + b * t.gy_block;
      float* acc = t.acc + b * t.block * taps_depth;
      with_vectors(block_lanes(t.channels, t.block, kLanes, b) / kLanes, [&](auto v) {
        if constexpr (2 * v <= kTileVectors)
          if (t.margin >= 0) return block_rows_joined<v>(t, x, gy, d0, d1, acc);
        block_taps<v>(t, x, gy, d0, d1, acc, ahead);
      });
    }
  }
}

// ---- packing

void pack_pixels(float* to, std::int64_t block_step, const float* from, std::int64_t pixel_step, std::int64_t pixels,
                 std::int64_t channels, std::int64_t block) {
  for (std::int64_t i = 0; i < pixels; ++i, from += pixel_step, to += block)
    for (std::int64_t c0 = 0, b = 0; c0 < channels; c0 += block, ++b) {
      const float* x = from + c0;
      float* at = to + b * block_step;
      const std::int64_t here = std::min(block, channels - c0);
      std::int64_t c = 0;
      for (; c + kLanes <= here; c += kLanes) store(at + c, load(x + c));
      if (c < here) store(at + c, load_first(x + c, here - c)), c += kLanes;
      for (; c < block; c += kLanes) store(at + c, VecN{});
    }
}

/// One vector of W channels of every row.
template <int W>
void normalise_channels(float* x, std::int64_t rows, std::int64_t width, const float* scale, const float* shift,
                        bool relu) {
  const Vec<W> a = load<W>(scale), b = load<W>(shift);
  // A floor that lets everything pass stands for no ReLU.
  const Vec<W> floor = relu ? Vec<W>{} : broadcast<W>(-std::numeric_limits<float>::infinity());
  for (std::int64_t r = 0; r < rows; ++r, x += width) {
    const Vec<W> y = load<W>(x) * a + b;
    store_vec<W>(x, y < floor ? floor : y);  // NaN stays
  }
}

void normalise(float* x, std::int64_t rows, std::int64_t width, const float* scale, const float* shift, bool relu) {
  std::int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) normalise_channels<kLanes>(x + c, rows, width, scale + c, shift + c, relu);
  for (; c < width; c += 4) normalise_channels<4>(x + c, rows, width, scale + c, shift + c, relu);
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ConvSimd, conv_simd,
                  {.lanes = kLanes,
                   .block_vectors = kTileVectors,
                   .gather = gather,
                   .outer = outer,
                   .pack_pixels = pack_pixels,
                   .normalise = normalise})
