// Each element is summed in an order that depends on the problem alone.

#include "core/simd.hpp"
#include "ops/matmul/matmul_skinny.hpp"

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// Rows [begin, end) of b that are read next: fetched while a tile multiplies.
struct Ahead {
  const float* b;
  int64_t begin, end;
};

/// R rows of a against C rows of b: R x C sums in registers, along vectors of the depth. Adds to y, or with `first` to
/// the bias.
template <int R, int C>
void dot_tile(const float* a, int64_t a_row, const float* b, int64_t b_row, const float* bias, bool first, float* y,
              int64_t y_row, int64_t depth, const Ahead& ahead) {
  VecN sum[R][C] = {};
  int64_t l = 0;
  for (; l + kLanes <= depth; l += kLanes) {
    for (int64_t c = ahead.begin; c < ahead.end; ++c) __builtin_prefetch(ahead.b + c * b_row + l);
    VecN bs[C];
    for (int c = 0; c < C; ++c) bs[c] = load(b + c * b_row + l);
    for (int r = 0; r < R; ++r) {
      const VecN av = load(a + r * a_row + l);
      for (int c = 0; c < C; ++c) sum[r][c] += av * bs[c];
    }
  }
  if (l < depth)
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        sum[r][c] += load_first(a + r * a_row + l, depth - l) * load_first(b + c * b_row + l, depth - l);
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      float& to = y[r * y_row + c];
      to = sum_lanes(sum[r][c]) + (!first ? to : bias != nullptr ? bias[c] : 0.0F);
    }
}

// Of a, a block of so many columns stays in L2 for a chunk's rows of b, of which as many as a tile has stay in L1.
constexpr int64_t kDotDepth = 1024;
constexpr int kDotRows = 4, kDotColumns = kRegisters == 32 ? 6 : 3;  // sums: 12 of 16, 24 of 32 registers

/// All rows of a against C rows of b. Each tile fetches its share of `ahead`, so that memory is busy while all of them
/// multiply and not while the first one does.
template <int C>
void dot_columns(const float* a, int64_t a_row, const float* b, int64_t b_row, const float* bias, bool first, float* y,
                 int64_t y_row, int64_t rows, int64_t depth, const Ahead& ahead) {
  const int64_t tiles = (rows + kDotRows - 1) / kDotRows;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t r = t * kDotRows;
    const auto run = rows - r >= 4   ? dot_tile<4, C>
                     : rows - r == 3 ? dot_tile<3, C>
                     : rows - r == 2 ? dot_tile<2, C>
                                     : dot_tile<1, C>;
    run(a + r * a_row, a_row, b, b_row, bias, first, y + r * y_row, y_row, depth,
        {ahead.b, t * ahead.end / tiles, (t + 1) * ahead.end / tiles});
  }
}

void dot(const float* a, int64_t a_row, const float* b, int64_t b_row, const float* bias, float* y, int64_t y_row,
         int64_t rows, int64_t depth, int64_t begin, int64_t end) {
  for (int64_t l = 0; l < depth; l += kDotDepth) {
    const int64_t length = least(kDotDepth, depth - l);
    const auto columns = [&]<int C>(int64_t j) {
      Ahead ahead{b + (j + C) * b_row + l, 0, least(kDotColumns, end - j - C)};
      if (j + C == end)  // the first rows of the next block of the depth, if there is one
        ahead = {b + begin * b_row + l + length, 0, l + length < depth ? least(kDotColumns, end - begin) : 0};
      dot_columns<C>(a + l, a_row, b + j * b_row + l, b_row, bias != nullptr ? bias + j : nullptr, l == 0, y + j, y_row,
                     rows, length, ahead);
    };
    int64_t j = begin;
    for (; j + kDotColumns <= end; j += kDotColumns) columns.template operator()<kDotColumns>(j);
    for (; j < end; ++j) columns.template operator()<1>(j);
  }
}

/// Eight rows of b at a time, into sums of all rows of a that stay near.
void gather(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row, const float* bias, float* y,
            int64_t y_row, int64_t rows, int64_t depth, int64_t begin, int64_t end) {
  alignas(64) float sums[kSkinnyRows * kSkinnyColumns];
  const int64_t columns = end - begin, width = (columns + kLanes - 1) / kLanes * kLanes;
  for (int64_t e = 0; e < rows * width; ++e) sums[e] = 0;
  const auto add = [&]<int kDepth>(int64_t l) {
    const float* p = b + l * b_row + begin;
    float factors[kSkinnyRows * kDepth];
    for (int64_t i = 0; i < rows; ++i)
      for (int d = 0; d < kDepth; ++d) factors[i * kDepth + d] = a[i * a_row + (l + d) * a_column];
    for (int64_t j = 0; j < columns; j += kLanes) {
      const int64_t n = least(kLanes, columns - j);
      VecN bs[kDepth];
      for (int d = 0; d < kDepth; ++d) {
        bs[d] = n == kLanes ? load(p + d * b_row + j) : load_first(p + d * b_row + j, n);
        if (l + d + kDepth < depth) __builtin_prefetch(p + (d + kDepth) * b_row + j);  // the next rows: far apart
      }
      for (int64_t i = 0; i < rows; ++i) {
        VecN sum = load(sums + i * width + j);
        for (int d = 0; d < kDepth; ++d) sum += bs[d] * factors[i * kDepth + d];
        store(sums + i * width + j, sum);
      }
    }
  };
  int64_t l = 0;
  for (; l + 8 <= depth; l += 8) add.template operator()<8>(l);
  for (; l < depth; ++l) add.template operator()<1>(l);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      y[i * y_row + begin + j] = sums[i * width + j] + (bias != nullptr ? bias[begin + j] : 0.0F);
}

/// Past the caches where the address allows it: the result is read much later, by the optimiser.
inline void store_past(float* p, VecN v, bool aligned) {
#if defined(__AVX512F__)
  if (aligned) return _mm512_stream_ps(p, v);
#elif defined(__AVX__)
  if (aligned) return _mm256_stream_ps(p, v);
#endif
  (void)aligned;
  store(p, v);
}

/// R rows of y, of which `packed` has the columns' factors: depth rows of kPanel.
constexpr int64_t kPanel = 4 * kLanes * (kLanes == 16 ? 4 : 8);
template <int R>
void outer_rows(const float* factors, const float* packed, int64_t depth, int64_t columns, float* y, int64_t y_row,
                bool aligned) {
  int64_t j = 0;
  for (; j + 4 * kLanes <= columns; j += 4 * kLanes) {
    VecN sum[R][4] = {};
    for (int64_t l = 0; l < depth; ++l)
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < 4; ++v) sum[r][v] += load(packed + l * kPanel + j + v * kLanes) * factors[r * depth + l];
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < 4; ++v) store_past(y + r * y_row + j + v * kLanes, sum[r][v], aligned);
  }
  for (; j < columns; j += kLanes)
    for (int r = 0; r < R; ++r) {
      VecN sum{};
      for (int64_t l = 0; l < depth; ++l) sum += load(packed + l * kPanel + j) * factors[r * depth + l];
      store_first(y + r * y_row + j, sum, least(kLanes, columns - j));
    }
}

/// Rows and columns of b and a are gathered first: rows of memory at large powers of two would push each other out.
void outer(const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row, float* y, int64_t y_row,
           int64_t depth, int64_t columns, int64_t first, int64_t last) {
  alignas(64) float packed[kSkinnyRows * kPanel];
  float factors[kSkinnyRows * kSkinnyOuterRows];
  for (int64_t i = first; i < last; ++i)
    for (int64_t l = 0; l < depth; ++l) factors[(i - first) * depth + l] = a[i * a_row + l * a_column];
  const bool aligned = reinterpret_cast<std::uintptr_t>(y) % sizeof(VecN) == 0 && y_row % kLanes == 0;
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t width = least(kPanel, columns - j);
    for (int64_t l = 0; l < depth; ++l)
      for (int64_t c = 0; c < kPanel; ++c) packed[l * kPanel + c] = c < width ? b[l * b_row + j + c] : 0.0F;
    int64_t i = first;
    for (; i + 2 <= last; i += 2)
      outer_rows<2>(factors + (i - first) * depth, packed, depth, width, y + i * y_row + j, y_row, aligned);
    if (i < last) outer_rows<1>(factors + (i - first) * depth, packed, depth, width, y + i * y_row + j, y_row, aligned);
  }
#if defined(__AVX__)
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(MatmulSkinnySimd, matmul_skinny_simd,
                  {.dot_rows = kRegisters == 32 ? 64 : kSkinnyRows, .dot = dot, .gather = gather, .outer = outer})
