// Rows of avg_pool2d, vectorised along channels.

#include "core/simd.hpp"
#include "ops/avg_pool2d/avg_pool2d_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

constexpr int64_t kBlock = 64;  // channels that are summed at a time

/// A window is summed row by row, so that the error grows with its height plus its width, not with their product.
template <bool kFull, class T>
void block_mean(const T* x, const PoolRow& row, int64_t w_begin, int64_t w_count, T inverse, int64_t some, T* y) {
  const int64_t n = kFull ? kBlock : some;
  T total[kBlock], part[kBlock];
  for (int64_t c = 0; c < n; ++c) total[c] = 0;
  for (int64_t r = 0; r < row.h_count; ++r) {
    const T* p = x + ((row.h_begin + r * row.h_step) * row.width + w_begin) * row.channels;
    for (int64_t c = 0; c < n; ++c) part[c] = 0;
    for (int64_t s = 0; s < w_count; ++s, p += row.w_step * row.channels)
      for (int64_t c = 0; c < n; ++c) part[c] += p[c];
    for (int64_t c = 0; c < n; ++c) total[c] += part[c];
  }
  for (int64_t c = 0; c < n; ++c) y[c] = total[c] * inverse;
}

template <class T>
void forward(const T* x, const PoolRow& row, const T* inverse, T* y) {
  for (int64_t q = 0; q < row.out_width; ++q, y += row.channels) {
    int64_t c = 0;
    for (; c + kBlock <= row.channels; c += kBlock)
      block_mean<true>(x + c, row, row.w_begin[q], row.w_count[q], inverse[q], kBlock, y + c);
    if (c < row.channels)
      block_mean<false>(x + c, row, row.w_begin[q], row.w_count[q], inverse[q], row.channels - c, y + c);
  }
}

template <class T>
void backward(const T* gy, const Windows::Reader* reader, int64_t readers, const PoolRow& row, const T* inverse_rows,
              const T* inverse_cols, T* gx) {
  for (int64_t i = 0; i < row.width * row.channels; ++i) gx[i] = 0;
  for (int64_t k = 0; k < readers; ++k)
    for (int64_t q = 0; q < row.out_width; ++q) {
      const T* __restrict g = gy + (reader[k].out * row.out_width + q) * row.channels;
      const T inverse = inverse_rows[reader[k].out] * inverse_cols[q];
      for (int64_t s = 0; s < row.w_count[q]; ++s) {
        T* __restrict to = gx + (row.w_begin[q] + s * row.w_step) * row.channels;
        for (int64_t c = 0; c < row.channels; ++c) to[c] += g[c] * inverse;
      }
    }
}

template <class T>
constexpr AvgPoolRows<T> rows() {
  return {.forward = forward<T>, .backward = backward<T>};
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(AvgPoolSimd, avg_pool_simd, {.f32 = rows<float>(), .f64 = rows<double>()})
