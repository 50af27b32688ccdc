// Rows of max_pool2d, vectorised along channels.

#include "core/simd.hpp"
#include "ops/max_pool2d/max_pool2d_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

constexpr int64_t kBlock = 64;  // channels whose running maxima are kept at a time

// An integer as wide as T, so that a vector of values and one of positions have the same lanes.
template <class T>
struct IntOf {
  using type = std::int64_t;
};
template <>
struct IntOf<float> {
  using type = std::int32_t;
};

/// kFull: n is kBlock, which the compiler then knows.
template <bool kFull, class T, class I>
void block_maximum(const T* x, const PoolRow& row, int64_t w_begin, int64_t w_count, int64_t some, T* y, I* position) {
  using Int = typename IntOf<T>::type;
  const int64_t n = kFull ? kBlock : some;
  T best[kBlock];
  Int won[kBlock];
  for (int64_t c = 0; c < n; ++c) best[c] = -__builtin_huge_val(), won[c] = 0;
  for (int64_t r = 0; r < row.h_count; ++r)
    for (int64_t s = 0; s < w_count; ++s) {
      const T* p = x + ((row.h_begin + r * row.h_step) * row.width + w_begin + s * row.w_step) * row.channels;
      const Int here = static_cast<Int>(r * row.widest + s);
      for (int64_t c = 0; c < n; ++c) {
        const bool take = (p[c] > best[c]) | (p[c] != p[c]);
        best[c] = take ? p[c] : best[c];
        won[c] = take ? here : won[c];
      }
    }
  for (int64_t c = 0; c < n; ++c) y[c] = best[c];
  for (int64_t c = 0; c < n; ++c) position[c] = static_cast<I>(won[c]);
}

template <class T, class I>
void forward(const T* x, const PoolRow& row, T* y, I* position) {
  for (int64_t q = 0; q < row.out_width; ++q, y += row.channels, position += row.channels) {
    int64_t c = 0;
    for (; c + kBlock <= row.channels; c += kBlock)
      block_maximum<true>(x + c, row, row.w_begin[q], row.w_count[q], kBlock, y + c, position + c);
    if (c < row.channels)
      block_maximum<false>(x + c, row, row.w_begin[q], row.w_count[q], row.channels - c, y + c, position + c);
  }
}

template <class T, class I>
void pick(const T* x, const PoolRow& row, const I* position, T* y) {
  for (int64_t q = 0; q < row.out_width; ++q, y += row.channels, position += row.channels) {
    for (int64_t c = 0; c < row.channels; ++c) {
      if (row.h_count == 0 || row.w_count[q] == 0) {
        y[c] = 0;
        continue;
      }
      const int64_t h = row.h_begin + position[c] / row.widest * row.h_step;
      const int64_t w = row.w_begin[q] + position[c] % row.widest * row.w_step;
      y[c] = x[(h * row.width + w) * row.channels + c];
    }
  }
}

template <class T, class I>
void spread(const T* gy, const I* position, const Windows::Reader* reader, int64_t readers, const PoolRow& row, T* gx) {
  using Int = typename IntOf<T>::type;
  for (int64_t i = 0; i < row.width * row.channels; ++i) gx[i] = 0;
  for (int64_t k = 0; k < readers; ++k) {
    const int64_t from = reader[k].out * row.out_width * row.channels;
    for (int64_t q = 0; q < row.out_width; ++q)
      for (int64_t s = 0; s < row.w_count[q]; ++s) {
        const Int here = static_cast<Int>(reader[k].at * row.widest + s);
        const T* __restrict g = gy + from + q * row.channels;
        const I* __restrict won = position + from + q * row.channels;
        T* __restrict to = gx + (row.w_begin[q] + s * row.w_step) * row.channels;
        for (int64_t c = 0; c < row.channels; ++c) to[c] += static_cast<Int>(won[c]) == here ? g[c] : T(0);
      }
  }
}

template <class T, class I>
constexpr MaxPoolRows<T, I> rows() {
  return {.forward = forward<T, I>, .pick = pick<T, I>, .spread = spread<T, I>};
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(MaxPoolSimd, max_pool_simd,
                  {.f32 = rows<float, std::uint8_t>(),
                   .f64 = rows<double, std::uint8_t>(),
                   .f32_wide = rows<float, std::int64_t>(),
                   .f64_wide = rows<double, std::int64_t>()})
