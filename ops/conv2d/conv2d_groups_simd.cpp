// Grouped convolution with as many inputs as outputs in a group, 1, 2, 4, 8 or 16, where they fit a vector: depthwise
// nets, ResNeXt. A vector of output channels spans several groups; input number d of every lane's own group is one
// shuffle of the same vector of x, or a broadcast where the vector is one group. Depthwise is bound by bytes, smaller
// groups by the shuffles beside the multiply-adds, the others by the broadcasts; with registers for the weights of a
// row of taps, one shuffle or broadcast serves them all.

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

/// The same at one pixel, read where the whole vector is one group.
template <int G, int D>
inline VecN channel_at(const float* x) {
  if constexpr (G == kLanes)
    return broadcast(x[D]);
  else
    return group_channel<G, D>(load(x));
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
  if (t.sums) add_up(*t.sums, channel, lanes, 0, PX, [&](int j) { return y + j * t.y_pixel; });
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

/// A row of outputs whose taps, T of them, neighbouring pixels share: output q meets tap s at pixel q · S + s of x,
/// counted from x_first. Pixels before 0 and from `x_columns` on are padding.
struct SharedRow {
  std::int64_t outputs, x_first, x_columns;
};

/// PX outputs of such a row from q0 on, one vector of channels; the first `again` of them were written before. Each
/// value of x meets its taps at once.
template <int G, int T, int S, int PX>
void shared_tile(const ConvGather& t, const SharedRow& shared, const ConvSegment& row, const float* x, std::int64_t q0,
                 int again, float* y, std::int64_t channel) {
  constexpr int kPixels = (PX - 1) * S + T;
  constexpr int kDepth = std::min(G, 4);  // as many vectors of weights as leave registers for the sums
  const std::int64_t lanes = std::min<std::int64_t>(kLanes, t.channels - channel);
  const std::int64_t column = shared.x_first + q0 * S, first = -column, last = shared.x_columns - column;
  const float* w = t.w + channel * t.taps_h * T * G + row.tap0 * T * G * kLanes;
  x += channel + column * t.x_pixel;
  VecN acc[PX];
  const VecN start = t.bias ? load_first(t.bias + channel, lanes) : VecN{};
  for (int j = 0; j < PX; ++j) acc[j] = start;
  // Every output sees a tap at least, so that only the outermost pixels can be padding.
  static constexpr float kZeros[kLanes] = {};
  const auto pixel = [&](int p) {
    const bool outside = (p < T - 1 && p < first) || (p > kPixels - T && p >= last);
    return outside ? kZeros : x + p * t.x_pixel;
  };
  const auto add = [&acc](int p, int s, VecN weight, VecN value) {
    if (p >= s && (p - s) % S == 0 && (p - s) / S < PX) acc[(p - s) / S] += weight * value;
  };
  for (std::int64_t r = 0; r < row.taps; ++r, x += t.tap_step_h * t.x_row, w += T * G * kLanes) {
    if constexpr (G == kLanes) {
      for (int d = 0; d < G; ++d) {
        VecN weight[T];
        for (int s = 0; s < T; ++s) weight[s] = load(w + (s * G + d) * kLanes);
#pragma GCC unroll 32
        for (int p = 0; p < kPixels; ++p) {
          const VecN value = broadcast(pixel(p)[d]);
#pragma GCC unroll 4
          for (int s = 0; s < T; ++s) add(p, s, weight[s], value);
        }
      }
    } else {
      const auto channels = [&]<int D0, int... D>(std::integral_constant<int, D0>, std::integer_sequence<int, D...>) {
        VecN weight[T][kDepth];
        for (int s = 0; s < T; ++s) ((weight[s][D] = load(w + (s * G + D0 + D) * kLanes)), ...);
        const auto meet = [&](int p, int d, VecN value) {
#pragma GCC unroll 4
          for (int s = 0; s < T; ++s) add(p, s, weight[s][d], value);
        };
#pragma GCC unroll 32
        for (int p = 0; p < kPixels; ++p) {
          const VecN v = load_first(pixel(p), lanes);
          (meet(p, D, group_channel<G, D0 + D>(v)), ...);
        }
      };
      constexpr auto kEach = std::make_integer_sequence<int, kDepth>{};
      channels(std::integral_constant<int, 0>{}, kEach);
      if constexpr (G > kDepth) channels(std::integral_constant<int, kDepth>{}, kEach);
    }
  }
#pragma GCC unroll 32
  for (int j = 0; j < PX; ++j) store_first(y + j * t.y_pixel, acc[j], lanes);
  if (t.sums) add_up(*t.sums, channel, lanes, again, PX, [&](int j) { return y + j * t.y_pixel; });
  if (t.finish)
    for (int j = 0; j < PX; ++j) finish(*t.finish, channel, y + j * t.y_pixel, lanes);
}

template <int G, int T, int S, int PX>
void shared_row(const ConvGather& t, const SharedRow& shared, const ConvSegment& row, const float* x, float* y) {
  for (std::int64_t q = 0; q < shared.outputs; q += PX) {
    const std::int64_t q0 = std::min(q, shared.outputs - PX);  // the last tile computes some outputs again
    // What the next row of tiles reads for the first time comes from memory meanwhile: S rows, a part for each block.
    const float* ahead = x + (shared.x_first + q0 * S) * t.x_pixel + row.taps * t.tap_step_h * t.x_row;
    for (std::int64_t b = t.block_begin; b < t.block_end; ++b, ahead += PX * S * kLanes) {
      for (int r = 0; r < S; ++r)
        for (int p = 0; p < PX * S; ++p) __builtin_prefetch(ahead + r * t.x_row + p * kLanes);
      shared_tile<G, T, S, PX>(t, shared, row, x, q0, static_cast<int>(q - q0), y + q0 * t.y_pixel + b * kLanes,
                               b * kLanes);
    }
  }
}

/// Whether the columns of t are such a row, and which.
inline bool is_shared(const ConvGather& t, SharedRow& shared) {
  if (kRegisters < 32 || t.tap_step_w != 1 || t.taps_w < 2 || t.taps_w > 3) return false;
  if (t.in_step_w != 1 && (t.in_step_w != 2 || t.taps_w != 3)) return false;
  shared = {};
  bool all_taps = false;
  for (std::int64_t e = 0; e < t.column_segments; ++e) {
    const ConvSegment& column = t.columns[e];
    if (column.taps == 0) return false;
    shared.outputs = column.first + column.count;
    shared.x_columns = std::max(shared.x_columns, column.in0 + (column.count - 1) * t.in_step_w + column.taps);
    if (column.taps == t.taps_w) all_taps = true, shared.x_first = column.in0 - column.first * t.in_step_w;
  }
  return all_taps && shared.outputs >= 4;
}

template <int G, int T, int S>
void gather_shared(const ConvGather& t, const SharedRow& shared) {
  // The widest tile that computes little twice.
  auto* in_tiles = shared_row<G, T, S, 4>;
  const auto wasted = [&](std::int64_t size) { return (size - shared.outputs % size) % size; };
  if (shared.outputs >= 8 && wasted(8) <= shared.outputs / 4) in_tiles = shared_row<G, T, S, 8>;
  if (shared.outputs >= 14 && wasted(14) <= shared.outputs / 8) in_tiles = shared_row<G, T, S, 14>;
  for (std::int64_t n = 0; n < t.images; ++n)
    for (std::int64_t a = 0; a < t.row_segments; ++a) {
      const ConvSegment& row = t.rows[a];
      const std::int64_t i0 = std::max(row.first, t.row_begin), i1 = std::min(row.first + row.count, t.row_end);
      for (std::int64_t i = i0; i < i1; ++i)
        in_tiles(t, shared, row, t.x + n * t.x_image + (row.in0 + (i - row.first) * t.in_step_h) * t.x_row,
                 t.y + n * t.y_image + i * t.y_row);
    }
}

template <int G>
void gather_groups(const ConvGather& t) {
  if constexpr (kRegisters >= 32 && G >= 4) {
    SharedRow shared;
    if (is_shared(t, shared)) {
      if (t.taps_w == 2) return gather_shared<G, 2, 1>(t, shared);
      return t.in_step_w == 1 ? gather_shared<G, 3, 1>(t, shared) : gather_shared<G, 3, 2>(t, shared);
    }
  }
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
    case 8:
      if constexpr (kLanes >= 8) gather_groups<8>(t);
      break;
    default:
      if constexpr (kLanes >= 16) gather_groups<16>(t);
  }
}

/// acc[d] += gy · channel d of each lane's group, at one pixel.
template <int G, int... D>
inline void add_product(VecN (&acc)[G], const float* gy, const float* x, std::integer_sequence<int, D...>) {
  const VecN g = load(gy);
  ((acc[D] += g * channel_at<G, D>(x)), ...);
}

/// One vector of channels, one tap, over rows x columns. Pixels are dealt to several accumulators, so that the
/// multiply-adds of one pixel need not wait for those of the last.
template <int G>
void sweep(const ConvOuter& t, const float* x0, const float* gy0, std::int64_t rows, std::int64_t columns, float* out) {
  constexpr int kSets = 8 / G;
  constexpr auto kDepth = std::make_integer_sequence<int, G>{};
  VecN acc[kSets][G] = {};
  const std::int64_t x_step = t.in_step_w * t.x_pixel;
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* x = x0 + i * t.in_step_h * t.x_row;
    const float* gy = gy0 + i * t.gy_row;
    std::int64_t j = 0;
    for (; j + kSets <= columns; j += kSets, x += kSets * x_step, gy += kSets * t.gy_pixel)
#pragma GCC unroll 8
      for (int u = 0; u < kSets; ++u) add_product<G>(acc[u], gy + u * t.gy_pixel, x + u * x_step, kDepth);
    for (; j < columns; ++j, x += x_step, gy += t.gy_pixel) add_product<G>(acc[0], gy, x, kDepth);
  }
  for (int d = 0; d < G; ++d) {
    VecN sum = acc[0][d];
    for (int u = 1; u < kSets; ++u) sum += acc[u][d];
    store(out + d * kLanes, load(out + d * kLanes) + sum);
  }
}

/// The same for three taps of a row at once, stride 1: a shuffle or broadcast serves three multiply-adds.
template <int G, int... D>
void sweep_row(const ConvOuter& t, const float* x0, const float* gy0, std::int64_t rows, float* out,
               std::integer_sequence<int, D...>) {
  static constexpr float kZeros[kLanes] = {};
  VecN acc[3][G] = {};
  std::int64_t begin = t.tap_columns[0].in0, end = 0, outputs = 0;  // pixels of x that meet a tap; of gy
  for (const ConvSegment* tap = t.tap_columns; tap < t.tap_columns + 3; ++tap) {
    begin = std::min(begin, tap->in0), end = std::max(end, tap->in0 + tap->count);
    outputs = std::max(outputs, tap->first + tap->count);
  }
  const std::int64_t shift = t.tap_columns[0].first - t.tap_columns[0].in0;  // x's pixel p is tap 0 of output p + shift
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* x = x0 + i * t.in_step_h * t.x_row + begin * t.x_pixel;
    const float* gy = gy0 + i * t.gy_row;
    const auto gy_of = [&](std::int64_t q) { return load(q >= 0 && q < outputs ? gy + q * t.gy_pixel : kZeros); };
    VecN g1 = gy_of(begin + shift - 1), g2 = gy_of(begin + shift - 2);
    for (std::int64_t p = begin; p < end; ++p, x += t.x_pixel) {
      const VecN g0 = gy_of(p + shift);
      const auto meet = [&](int d, VecN value) {
        acc[0][d] += g0 * value;
        acc[1][d] += g1 * value;
        acc[2][d] += g2 * value;
      };
      (meet(D, channel_at<G, D>(x)), ...);
      g2 = g1, g1 = g0;
    }
  }
#pragma GCC unroll 3
  for (int s = 0; s < 3; ++s) (store(out + (s * G + D) * kLanes, load(out + (s * G + D) * kLanes) + acc[s][D]), ...);
}

/// Whether the taps of t are such a row.
inline bool is_shared(const ConvOuter& t) {
  if (kRegisters < 32 || t.taps_w != 3 || t.in_step_w != 1 || t.tap_step_w != 1) return false;
  for (int s = 0; s < 3; ++s)
    if (t.tap_columns[s].count == 0) return false;
  return true;
}

template <int G>
void outer_groups(const ConvOuter& t) {
  constexpr bool kShares = kRegisters >= 32 && G >= 4;
  const bool shared = kShares && is_shared(t);
  float* out = t.acc;
  for (std::int64_t b = 0; b * kLanes < t.channels; ++b)
    for (std::int64_t r = 0; r < t.taps_h; ++r, out += t.taps_w * G * kLanes) {
      const ConvSegment& row = t.tap_rows[r];
      if (row.count == 0) continue;
      const float* x = t.x + b * t.x_depth_block + row.in0 * t.x_row;
      const float* gy = t.gy + b * t.gy_block + row.first * t.gy_row;
      if (shared) {
        if constexpr (kShares) sweep_row<G>(t, x, gy, row.count, out, std::make_integer_sequence<int, G>{});
        continue;
      }
      for (std::int64_t s = 0; s < t.taps_w; ++s) {
        const ConvSegment& column = t.tap_columns[s];
        if (column.count > 0)
          sweep<G>(t, x + column.in0 * t.x_pixel, gy + column.first * t.gy_pixel, row.count, column.count,
                   out + s * G * kLanes);
      }
    }
}

void outer(const ConvOuter& t) {
  switch (t.depth) {
    case 1: return outer_groups<1>(t);
    case 2: return outer_groups<2>(t);
    case 4: return outer_groups<4>(t);
    default:
      if constexpr (kLanes >= 8) outer_groups<8>(t);
  }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ConvGroupsSimd, conv_groups_simd, {.lanes = kLanes, .gather = gather, .outer = outer})
