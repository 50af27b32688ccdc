// The inner loops of batch normalisation. Channels are the fastest dimension, so per-channel numbers are vectors that
// lie along the loop; where there are few channels they are repeated to `width` entries, and the loops stay long.
// Results may be written over an operand element by element, which ivdep tells the compiler is no obstacle.

#include "core/simd.hpp"
#include "ops/batch_norm/batch_norm_kernels.hpp"

#if defined(__clang__)
#define GRADUS_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define GRADUS_IVDEP _Pragma("GCC ivdep")
#endif

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

// Elements that share 16 words of a mask: bit k of word l belongs to element 16 k + l. No lane ever moves to another.
constexpr int kMaskLanes = 16, kMaskBlock = 32 * kMaskLanes;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
void moments(const T* x, int64_t n, int64_t width, const T* shift, T* s1, T* s2) {
  for (int64_t j = 0; j < width; ++j) s1[j] = s2[j] = 0;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {  // four rows at once: the sums are loaded and stored once for them
    const T *p0 = x + i, *p1 = p0 + width, *p2 = p1 + width, *p3 = p2 + width;
    GRADUS_IVDEP
    for (int64_t j = 0; j < width; ++j) {
      const T d0 = p0[j] - shift[j], d1 = p1[j] - shift[j], d2 = p2[j] - shift[j], d3 = p3[j] - shift[j];
      s1[j] += (d0 + d1) + (d2 + d3);
      s2[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (; i < n; i += width) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) {
      const T d = x[i + j] - shift[j];
      s1[j] += d;
      s2[j] += d * d;
    }
  }
}

template <bool kRelu, bool kResidual, class T>
void apply_as(const T* x, const T* residual, const T* scale, const T* shift, T* y, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; i += width) {
    const int64_t count = least(width, n - i);
    const T* p = x + i;
    const T* r = kResidual ? residual + i : nullptr;
    T* q = y + i;
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) {
      T v = p[j] * scale[j] + shift[j];
      if (kResidual) v += r[j];
      q[j] = !kRelu || !(v <= T(0)) ? v : T(0);  // NaN passes, as in relu
    }
  }
}

template <class T>
void apply(const T* x, const T* residual, const T* scale, const T* shift, bool relu, T* y, int64_t n, int64_t width) {
  if (residual != nullptr)
    relu ? apply_as<true, true>(x, residual, scale, shift, y, n, width)
         : apply_as<false, true>(x, residual, scale, shift, y, n, width);
  else
    relu ? apply_as<true, false>(x, residual, scale, shift, y, n, width)
         : apply_as<false, false>(x, residual, scale, shift, y, n, width);
}

template <class T>
void mask_bits(const T* y, int64_t n, std::uint32_t* mask) {
  for (; n > 0; n -= kMaskBlock, y += kMaskBlock, mask += kMaskLanes) {
    std::uint32_t word[kMaskLanes] = {};
    if (n >= kMaskBlock) {
      for (int k = 0; k < 32; ++k)
        for (int l = 0; l < kMaskLanes; ++l) word[l] |= y[k * kMaskLanes + l] > T(0) ? std::uint32_t{1} << k : 0;
    } else {
      for (int64_t e = 0; e < n; ++e) word[e % kMaskLanes] |= y[e] > T(0) ? std::uint32_t{1} << (e / kMaskLanes) : 0;
    }
    for (int l = 0; l < kMaskLanes; ++l) mask[l] = word[l];
  }
}

template <class T>
void gate_mask(const T* gy, const std::uint32_t* mask, int64_t n, T* g) {
  for (; n > 0; n -= kMaskBlock, gy += kMaskBlock, g += kMaskBlock, mask += kMaskLanes) {
    if (n >= kMaskBlock) {
      std::uint32_t word[kMaskLanes];
      for (int l = 0; l < kMaskLanes; ++l) word[l] = mask[l];
      for (int k = 0; k < 32; ++k) {
        T v[kMaskLanes];
        for (int l = 0; l < kMaskLanes; ++l) v[l] = gy[k * kMaskLanes + l];
        for (int l = 0; l < kMaskLanes; ++l) v[l] = (word[l] >> k & 1) != 0 ? v[l] : T(0);
        for (int l = 0; l < kMaskLanes; ++l) g[k * kMaskLanes + l] = v[l];
      }
    } else {
      for (int64_t e = 0; e < n; ++e) g[e] = (mask[e % kMaskLanes] >> (e / kMaskLanes) & 1) != 0 ? gy[e] : T(0);
    }
  }
}

template <class T>
void gate_x(const T* gy, const T* x, const T* scale, const T* shift, int64_t n, int64_t width, T* g) {
  for (int64_t i = 0; i < n; i += width) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) g[i + j] = x[i + j] * scale[j] + shift[j] > T(0) ? gy[i + j] : T(0);
  }
}

template <class T>
void reduce(const T* g, const T* x, const T* mean, int64_t n, int64_t width, T* s1, T* s2) {
  for (int64_t j = 0; j < width; ++j) s1[j] = s2[j] = 0;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {
    const T *p0 = x + i, *p1 = p0 + width, *p2 = p1 + width, *p3 = p2 + width;
    const T *g0 = g + i, *g1 = g0 + width, *g2 = g1 + width, *g3 = g2 + width;
    GRADUS_IVDEP
    for (int64_t j = 0; j < width; ++j) {
      s1[j] += (g0[j] + g1[j]) + (g2[j] + g3[j]);
      s2[j] += (g0[j] * (p0[j] - mean[j]) + g1[j] * (p1[j] - mean[j])) +
               (g2[j] * (p2[j] - mean[j]) + g3[j] * (p3[j] - mean[j]));
    }
  }
  for (; i < n; i += width) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) {
      s1[j] += g[i + j];
      s2[j] += g[i + j] * (x[i + j] - mean[j]);
    }
  }
}

template <class T>
void backward(const T* g, const T* x, const T* mean, const T* a, const T* b, const T* c, T* gx, int64_t n,
              int64_t width) {
  for (int64_t i = 0; i < n; i += width) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) gx[i + j] = a[j] * g[i + j] + (b[j] * (x[i + j] - mean[j]) + c[j]);
  }
}

template <class T>
constexpr BatchNormRows<T> rows() {
  return {.moments = moments<T>,
          .apply = apply<T>,
          .mask = mask_bits<T>,
          .gate_mask = gate_mask<T>,
          .gate_x = gate_x<T>,
          .reduce = reduce<T>,
          .backward = backward<T>};
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(BatchNormSimd, batch_norm_simd, {.f32 = rows<float>(), .f64 = rows<double>()})
