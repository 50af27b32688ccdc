// Products of packed panels. Bound by the multiply-adds: per depth step of a tile 2 x 6 of them on AVX2 against 2
// vector loads and 6 broadcasts, all from L1 (b) and L2 (a); 4 x 6 on AVX-512 (conv2d_tile.hpp). Packing costs a move
// per element, shared by a whole row of tiles.

#include <algorithm>
#include <utility>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_packed.hpp"
#include "ops/conv2d/conv2d_tile.hpp"

namespace gradus::GRADUS_ISA {
namespace {

constexpr int kColumns = kTileVectors * kLanes;
constexpr int kRows = kTileRows<kTileVectors>;
/// Machines with AVX-512 have an L2 of at least 1 MiB.
constexpr std::int64_t kDepth = kLanes == 16 ? 512 : 256;
/// A panel of columns stays in L1, both factors of a weight gradient's task in an L2 of 512 KiB.
constexpr std::int64_t kWeightDepth = 128;
/// Lines that are transposed together: no more than a panel of rows has use for.
constexpr int kPackLanes = std::min(kLanes, 8);
using PackVec = Vec<kPackLanes>;

// ---- packing

/// Exchanges the off-diagonal kStep x kStep blocks of the matrix whose rows are a and b, kStep rows apart.
template <int kStep, int... Lane>
inline void exchange(PackVec& a, PackVec& b, std::integer_sequence<int, Lane...>) {
  const PackVec low = __builtin_shufflevector(a, b, (Lane & kStep ? kPackLanes + Lane - kStep : Lane)...);
  b = __builtin_shufflevector(a, b, (Lane & kStep ? kPackLanes + Lane : Lane + kStep)...);
  a = low;
}
template <int kStep>
inline void transpose(PackVec (&v)[kPackLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kPackLanes; ++i)
    if (!(i & kStep)) exchange<kStep>(v[i], v[i + kStep], std::make_integer_sequence<int, kPackLanes>{});
  if constexpr (kStep > 1) transpose<kStep / 2>(v);
}

/// to[d·width] … = line[·][d] for kPackLanes lines. With width below kPackLanes each store spoils the head of the next.
void across_lanes(const float* const* line, std::int64_t depth, int width, float* to) {
  std::int64_t d = 0;
  for (; d + kPackLanes <= depth; d += kPackLanes) {
    PackVec v[kPackLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kPackLanes; ++i) v[i] = load<kPackLanes>(line[i] + d);
    transpose<kPackLanes / 2>(v);
#pragma GCC unroll 16
    for (int i = 0; i < kPackLanes; ++i) store_vec<kPackLanes>(to + (d + i) * width, v[i]);
  }
  for (; d < depth; ++d)
    for (int i = 0; i < kPackLanes; ++i) to[d * width + i] = line[i][d];
}

void across(const float* const* line, std::int64_t lines, std::int64_t depth, int width, float* to) {
  for (std::int64_t first = 0; first < lines; first += width, to += width * depth) {
    const float* panel[std::max(kRows, kColumns) + kPackLanes];
    for (int i = 0; i < width + kPackLanes; ++i) panel[i] = line[std::min(first + i, lines - 1)];
    if (width < kPackLanes) {
      across_lanes(panel, depth, width, to);
      continue;
    }
    // The last group reaches back where the width is no multiple of a vector.
    for (int i = 0; i < width; i += kPackLanes) {
      const int at = std::min(i, width - kPackLanes);
      across_lanes(panel + at, depth, width, to + at);
    }
  }
}

template <int kWidth>
void along_width(const float* const* line, std::int64_t depth, std::int64_t channels, float* to,
                 std::int64_t panel_step) {
  constexpr std::int64_t kLines = 8;  // read together, so that panels are written in stretches
  for (std::int64_t d0 = 0; d0 < depth; d0 += kLines) {
    const std::int64_t d1 = std::min(d0 + kLines, depth);
    float* panel = to;
    std::int64_t c = 0;
    for (; c + kWidth <= channels; c += kWidth, panel += panel_step)
      for (std::int64_t d = d0; d < d1; ++d) std::memcpy(panel + d * kWidth, line[d] + c, kWidth * sizeof(float));
    if (c >= channels) continue;
    for (std::int64_t d = d0; d < d1; ++d) {
      int i = 0;
      for (; i + kLanes <= kWidth; i += kLanes)
        store(panel + d * kWidth + i,
              load_first(line[d] + c + i, std::clamp<std::int64_t>(channels - c - i, 0, kLanes)));
      for (; i < kWidth; ++i) panel[d * kWidth + i] = c + i < channels ? line[d][c + i] : 0.f;
    }
  }
}

void along(const float* const* line, std::int64_t depth, std::int64_t channels, int width, float* to,
           std::int64_t panel_step) {
  width == kRows ? along_width<kRows>(line, depth, channels, to, panel_step)
                 : along_width<kColumns>(line, depth, channels, to, panel_step);
}

// ---- the product

/// One tile of R rows and V vectors of columns, the first `rows` and `columns` of which exist.
template <int V, int R>
void tile(const PackedProduct& t, const float* a, std::int64_t a_step, const float* b, std::int64_t b_step,
          float* const* out, std::int64_t rows, std::int64_t c, std::int64_t columns, const ResultSums* sums,
          FetchCursor& ahead) {
  VecN acc[R][V];
  const bool whole = columns >= V * kLanes;
  const auto in_columns = [&](int v) { return std::clamp<std::int64_t>(columns - v * kLanes, 0, kLanes); };
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    VecN start{};
    if (t.start && !t.add) start = load_first(t.start + c + v * kLanes, in_columns(v));
#pragma GCC unroll 32
    for (int j = 0; j < R; ++j) acc[j][v] = start;
  }
  // What is added to is fetched meanwhile, and added at the end: loaded first, it would hold up the multiply-adds.
  for (int j = 0; j < R; ++j)
    for (int v = 0; v < V; ++v) __builtin_prefetch(out[j] + c + v * kLanes, 1);
  FetchCursor fetch = ahead;
  for (std::int64_t d = 0; d < t.depth; d += 2) {
    fetch.next();
#pragma GCC unroll 2
    for (int e = 0; e < 2; ++e, a += a_step, b += b_step) {
      if (e == 1 && d + 1 == t.depth) break;
      VecN column[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 32
      for (int j = 0; j < R; ++j)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) acc[j][v] += column[v] * a[j];
    }
  }
  ahead = fetch;
  const auto write = [&](auto adds) {
#pragma GCC unroll 32
    for (int j = 0; j < R; ++j) {
      if (j >= rows) break;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        float* to = out[j] + c + v * kLanes;
        if (whole)
          store(to, adds ? acc[j][v] + load(to) : acc[j][v]);
        else
          store_first(to, adds ? acc[j][v] + load_first(to, in_columns(v)) : acc[j][v], in_columns(v));
      }
    }
  };
  t.add ? write(std::true_type{}) : write(std::false_type{});
  if (sums)
    add_up(*sums, t.channel + c, std::min<std::int64_t>(columns, V * kLanes), 0, static_cast<int>(rows),
           [&](int j) { return out[j] + c; });
  if (t.finish)
    for (std::int64_t j = 0; j < rows; ++j)
      finish(*t.finish, t.channel + c, out[j] + c, std::min<std::int64_t>(columns, V * kLanes));
}

/// All rows by one panel of columns; a's tiles lie a_tile floats apart.
template <int V, int R>
void column_of_tiles(const PackedProduct& t, const float* a, std::int64_t a_step, std::int64_t a_tile, const float* b,
                     std::int64_t b_step, std::int64_t c, std::int64_t columns, FetchCursor& panel, FetchAhead& ahead) {
  for (std::int64_t r = 0; r < t.rows; r += R, a += a_tile) {
    const std::int64_t rows = std::min<std::int64_t>(R, t.rows - r);
    float* out[R];
    for (int j = 0; j < R; ++j) out[j] = t.out[r + std::min<std::int64_t>(j, rows - 1)];
    const ResultSums* sums = t.sums ? t.sums + r / (kMomentTiles * R) : nullptr;
    tile<V, R>(t, a, a_step, b, b_step, out, rows, c, columns, sums, panel.done() ? ahead.current() : panel);
  }
}

void multiply(const PackedProduct& t) {
  const bool packed = t.a_step == 0;
  const float* b = t.b;
  FetchAhead ahead = t.ahead;
  for (std::int64_t c = 0; c < t.columns; c += kColumns, b += packed ? t.b_panel : kColumns) {
    const std::int64_t columns = std::min<std::int64_t>(kColumns, t.columns - c);
    FetchCursor panel;
    if (t.far && c + kColumns < t.columns) panel = {b + t.b_panel, t.depth, kColumns, kColumns};
    with_vectors((columns + kLanes - 1) / kLanes, [&](auto v) {
      if (packed)
        return column_of_tiles<v, kRows>(t, t.a, kRows, kRows * t.depth, b, kColumns, c, columns, panel, ahead);
      constexpr int kEach = std::min(kTileRows<v>, 12);
      column_of_tiles<v, kEach>(t, t.a, t.a_step, kEach, b, t.b_step, c, columns, panel, ahead);
    });
  }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(PackedSimd, packed_simd,
                  {.rows = kRows,
                   .columns = kColumns,
                   .depth = kDepth,
                   .weight_depth = kWeightDepth,
                   .across = across,
                   .along = along,
                   .multiply = multiply})
