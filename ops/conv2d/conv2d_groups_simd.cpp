// Grouped convolution with as many inputs as outputs in a group, 1, 2, 4 or 8, where they fit a vector: depthwise nets,
// ResNeXt. A vector of output channels spans several groups; input number d of every lane's own group is one shuffle of
// the same vector of x, or a broadcast where the vector is one group. Depthwise is bound by bytes, smaller groups by
// the shuffles beside the multiply-adds, the others by the broadcasts.

#include <algorithm>
#include <utility>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_direct.hpp"

namespace gradus::GRADUS_ISA {
namespace {

/// Lane l of the result is lane l / G * G + D of x: channel D of the lane's group.
template <int G, int D, int... Lane>
inline VecN group_channel(VecN x, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(x, x, (Lane / G * G + D)...);
}
template <int G, int D>
inline VecN group_channel(VecN x) {
  if constexpr (G == 1)
    return x;
  else
    return group_channel<G, D>(x, std::make_integer_sequence<int, kLanes>{});
}

template <bool kAll>
inline VecN load_lanes(const float* p, std::int64_t n) {
  if constexpr (kAll)
    return load(p);
  else
    return load_first(p, n);
}

/// acc[j] += Σ_d w[d] · (channel d of each lane's group at pixel j).
template <int G, int PX, bool kAll, int... D>
inline void tap(VecN (&acc)[PX], const float* x, std::int64_t x_step, const float* w, std::int64_t lanes,
                std::integer_sequence<int, D...>) {
  if constexpr (G == kLanes && PX <= 2) {
    // So few sums would wait for each other: the channels are dealt to four more.
    for (int j = 0; j < PX; ++j) {
      VecN part[4] = {};
      ((part[D % 4] += load(w + D * kLanes) * x[j * x_step + D]), ...);
      acc[j] += (part[0] + part[1]) + (part[2] + part[3]);
    }
  } else if constexpr (G == kLanes) {
#pragma GCC unroll 16
    for (int d = 0; d < G; ++d) {
      const VecN weight = load(w + d * kLanes);
#pragma GCC unroll 32
      for (int j = 0; j < PX; ++j) acc[j] += weight * x[j * x_step + d];
    }
  } else {
    const VecN weight[G] = {load(w + D * kLanes)...};
#pragma GCC unroll 32
    for (int j = 0; j < PX; ++j) {
      const VecN v = load_lanes<kAll>(x + j * x_step, lanes);
      ((acc[j] += weight[D] * group_channel<G, D>(v)), ...);
    }
  }
}

/// PX neighbouring pixels of a row, one vector of channels.
template <int G, int PX, bool kAll>
inline void tile(const ConvGather& t, const float* x, const float* w, const ConvSegment& row, const ConvSegment& column,
                 float* y, std::int64_t channel, std::int64_t lanes) {
  VecN acc[PX];
  const VecN start = t.bias ? load_lanes<kAll>(t.bias + channel, lanes) : VecN{};
  for (int j = 0; j < PX; ++j) acc[j] = start;
  for (std::int64_t r = 0; r < row.taps; ++r)
    for (std::int64_t s = 0; s < column.taps; ++s)
      tap<G, PX, kAll>(acc, x + r * t.tap_step_h * t.x_row + s * t.tap_step_w * t.x_pixel, t.in_step_w * t.x_pixel,
                       w + ((row.tap0 + r) * t.taps_w + column.tap0 + s) * G * kLanes, lanes,
                       std::make_integer_sequence<int, G>{});
#pragma GCC unroll 32
  for (int j = 0; j < PX; ++j) {
    if constexpr (kAll)
      store(y + j * t.y_pixel, acc[j]);
    else
      store_first(y + j * t.y_pixel, acc[j], lanes);
  }
  if (t.finish)
    for (int j = 0; j < PX; ++j) finish(*t.finish, channel, y + j * t.y_pixel, lanes);
}

/// All channels of PX neighbouring pixels: x of the tile comes from L1 but once.
template <int G, int PX>
void pixels(const ConvGather& t, const float* x, const ConvSegment& row, const ConvSegment& column, float* y) {
  const std::int64_t w_block = t.taps_h * t.taps_w * G * kLanes;
  for (std::int64_t b = t.block_begin; b < t.block_end; ++b) {
    const std::int64_t c = b * kLanes, lanes = std::min<std::int64_t>(kLanes, t.channels - c);
    if (lanes == kLanes)
      tile<G, PX, true>(t, x + c, t.w + b * w_block, row, column, y + c, c, lanes);
    else
      tile<G, PX, false>(t, x + c, t.w + b * w_block, row, column, y + c, c, lanes);
  }
}

template <int G, int PX>
void pixels_at_most(int count, const ConvGather& t, const float* x, const ConvSegment& row, const ConvSegment& column,
                    float* y) {
  if (count == PX) return pixels<G, PX>(t, x, row, column, y);
  if constexpr (PX > 1) pixels_at_most<G, PX - 1>(count, t, x, row, column, y);
}

template <int G>
void gather_groups(const ConvGather& t) {
  // As many sums as the multiply-adds' latency asks for; rows of more pixels, a power of two apart, would not stay in
  // L1 from tap to tap.
  constexpr int kTile = G == kLanes ? 8 : 6;
  for (std::int64_t n = 0; n < t.images; ++n)
    for (std::int64_t a = 0; a < t.row_segments; ++a) {
      const ConvSegment& row = t.rows[a];
      const std::int64_t i0 = std::max(row.first, t.row_begin), i1 = std::min(row.first + row.count, t.row_end);
      for (std::int64_t i = i0; i < i1; ++i)
        for (std::int64_t e = 0; e < t.column_segments; ++e) {
          const ConvSegment& column = t.columns[e];
          const float* x =
              t.x + n * t.x_image + (row.in0 + (i - row.first) * t.in_step_h) * t.x_row + column.in0 * t.x_pixel;
          float* y = t.y + n * t.y_image + i * t.y_row + column.first * t.y_pixel;
          const std::int64_t x_step = t.in_step_w * t.x_pixel;
          std::int64_t tiles = (column.count + kTile - 1) / kTile;  // even ones: a small tile waits for its sums
          for (std::int64_t j = 0, left = column.count; left > 0; --tiles) {
            const int size = static_cast<int>((left + tiles - 1) / tiles);
            pixels_at_most<G, kTile>(size, t, x + j * x_step, row, column, y + j * t.y_pixel);
            j += size, left -= size;
          }
        }
    }
}

void gather(const ConvGather& t) {
  switch (t.depth) {
    case 1: return gather_groups<1>(t);
    case 2: return gather_groups<2>(t);
    case 4: return gather_groups<4>(t);
    default:
      if constexpr (kLanes >= 8) gather_groups<8>(t);
  }
}

template <int G, int... D>
inline void add_product(VecN (&acc)[G], VecN gy, VecN x, std::integer_sequence<int, D...>) {
  ((acc[D] += gy * group_channel<G, D>(x)), ...);
}

/// One vector of channels, one tap, over images x rows x columns. Pixels are dealt to several accumulators, so that the
/// multiply-adds of one pixel need not wait for those of the last.
template <int G, bool kAll>
void sweep(const ConvOuter& t, const float* x0, const float* gy0, std::int64_t rows, std::int64_t columns,
           std::int64_t lanes, float* out) {
  constexpr int kSets = 8 / G;
  constexpr auto kDepth = std::make_integer_sequence<int, G>{};
  VecN acc[kSets][G] = {};
  const std::int64_t x_step = t.in_step_w * t.x_pixel;
  for (std::int64_t n = 0; n < t.images; ++n)
    for (std::int64_t i = 0; i < rows; ++i) {
      const float* x = x0 + n * t.x_image + i * t.in_step_h * t.x_row;
      const float* gy = gy0 + n * t.gy_image + i * t.gy_row;
      std::int64_t j = 0;
      for (; j + kSets <= columns; j += kSets, x += kSets * x_step, gy += kSets * t.gy_pixel)
#pragma GCC unroll 8
        for (int u = 0; u < kSets; ++u)
          add_product(acc[u], load_lanes<kAll>(gy + u * t.gy_pixel, lanes), load_lanes<kAll>(x + u * x_step, lanes),
                      kDepth);
      for (; j < columns; ++j, x += x_step, gy += t.gy_pixel)
        add_product(acc[0], load_lanes<kAll>(gy, lanes), load_lanes<kAll>(x, lanes), kDepth);
    }
  for (int d = 0; d < G; ++d) {
    VecN sum = acc[0][d];
    for (int u = 1; u < kSets; ++u) sum += acc[u][d];
    store(out + d * kLanes, load(out + d * kLanes) + sum);
  }
}

template <int G>
void outer_groups(const ConvOuter& t) {
  float* out = t.acc;
  for (std::int64_t c = 0; c < t.channels; c += kLanes) {
    const std::int64_t lanes = std::min<std::int64_t>(kLanes, t.channels - c);
    for (std::int64_t r = 0; r < t.taps_h; ++r)
      for (std::int64_t s = 0; s < t.taps_w; ++s, out += G * kLanes) {
        const ConvSegment &row = t.tap_rows[r], &column = t.tap_columns[s];
        if (row.count == 0 || column.count == 0) continue;
        const float* x = t.x + row.in0 * t.x_row + column.in0 * t.x_pixel + c;
        const float* gy = t.gy + row.first * t.gy_row + column.first * t.gy_pixel + c;
        if (lanes == kLanes)
          sweep<G, true>(t, x, gy, row.count, column.count, lanes, out);
        else
          sweep<G, false>(t, x, gy, row.count, column.count, lanes, out);
      }
  }
}

void outer(const ConvOuter& t) {
  switch (t.depth) {
    case 1: return outer_groups<1>(t);
    case 2: return outer_groups<2>(t);
    default: return outer_groups<4>(t);
  }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ConvGroupsSimd, conv_groups_simd, {.lanes = kLanes, .gather = gather, .outer = outer})
