// Channels are the fastest dimension, so per-channel numbers are vectors that lie along the loop. Plain loops that the
// compiler vectorises; ivdep tells it that a result written over an operand is no obstacle.

#include "core/simd.hpp"
#include "ops/channel_rows/channel_rows.hpp"

#if defined(__clang__)
#define GRADUS_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define GRADUS_IVDEP _Pragma("GCC ivdep")
#endif

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

// Elements that share 16 words of gate bits.
constexpr int kGateLanes = 16, kGateBlock = 32 * kGateLanes;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

template <class T>
void moments(const T* x, int64_t x_step, int64_t n, int64_t width, const T* shift, T* s1, T* s2) {
  for (int64_t j = 0; j < width; ++j) s1[j] = s2[j] = 0;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {  // four rows at once: the sums are loaded and stored once for them
    const T *p0 = x, *p1 = p0 + x_step, *p2 = p1 + x_step, *p3 = p2 + x_step;
    x = p3 + x_step;
    GRADUS_IVDEP
    for (int64_t j = 0; j < width; ++j) {
      const T d0 = p0[j] - shift[j], d1 = p1[j] - shift[j], d2 = p2[j] - shift[j], d3 = p3[j] - shift[j];
      s1[j] += (d0 + d1) + (d2 + d3);
      s2[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (; i < n; i += width, x += x_step) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) {
      const T d = x[j] - shift[j];
      s1[j] += d;
      s2[j] += d * d;
    }
  }
}

template <bool kRelu, bool kResidual, class T>
void apply_as(const T* x, int64_t x_step, const T* residual, const T* scale, const T* shift, T* y, int64_t n,
              int64_t width) {
  const T* p = x;
  for (int64_t i = 0; i < n; i += width, p += x_step) {
    const int64_t count = least(width, n - i);
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
void apply(const T* x, int64_t x_step, const T* residual, const T* scale, const T* shift, bool relu, T* y, int64_t n,
           int64_t width) {
  if (residual != nullptr)
    relu ? apply_as<true, true>(x, x_step, residual, scale, shift, y, n, width)
         : apply_as<false, true>(x, x_step, residual, scale, shift, y, n, width);
  else
    relu ? apply_as<true, false>(x, x_step, residual, scale, shift, y, n, width)
         : apply_as<false, false>(x, x_step, residual, scale, shift, y, n, width);
}

template <class T>
void scale_rows(const T* x, const T* scale, T* y, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; i += width) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) y[i + j] = x[i + j] * scale[j];
  }
}

template <class T>
void gate_bits_of(const T* y, int64_t n, std::uint32_t* bits) {
  for (int l = 0; l < kGateLanes; ++l) bits[l] = 0;
  for (int64_t e = 0; e < n; ++e) bits[e % kGateLanes] |= y[e] > T(0) ? std::uint32_t{1} << (e / kGateLanes) : 0;
}
template <class T>
void gate_by_bits_of(const T* gy, const std::uint32_t* bits, int64_t n, T* g) {
  for (int64_t e = 0; e < n; ++e) g[e] = (bits[e % kGateLanes] >> (e / kGateLanes) & 1) != 0 ? gy[e] : T(0);
}

// Whole blocks of floats in vectors; the last block, and doubles, one by one.
inline void gate_bits_of_block(const float* y, std::uint32_t* bits) {
  for (int l = 0; l < kGateLanes; l += kLanes) {
    MaskN word{};
    for (int k = 0; k < 32; ++k) {
      const MaskN bit = MaskN{} + static_cast<std::int32_t>(std::uint32_t{1} << k);
      word |= (load(y + k * kGateLanes + l) > VecN{}) & bit;
    }
    std::memcpy(bits + l, &word, sizeof word);
  }
}
inline void gate_by_bits_of_block(const float* gy, const std::uint32_t* bits, float* g) {
  for (int l = 0; l < kGateLanes; l += kLanes) {
    MaskN word;
    std::memcpy(&word, bits + l, sizeof word);
    for (int k = 0; k < 32; ++k) {
      const MaskN bit = MaskN{} + static_cast<std::int32_t>(std::uint32_t{1} << k);
      store(g + k * kGateLanes + l, (word & bit) == bit ? load(gy + k * kGateLanes + l) : VecN{});
    }
  }
}
inline void gate_bits_of_block(const double* y, std::uint32_t* bits) { gate_bits_of(y, kGateBlock, bits); }
inline void gate_by_bits_of_block(const double* gy, const std::uint32_t* bits, double* g) {
  gate_by_bits_of(gy, bits, kGateBlock, g);
}

template <class T>
void gate_bits(const T* y, int64_t n, std::uint32_t* bits) {
  for (; n >= kGateBlock; n -= kGateBlock, y += kGateBlock, bits += kGateLanes) gate_bits_of_block(y, bits);
  if (n > 0) gate_bits_of(y, n, bits);
}

template <class T>
void gate_by_bits(const T* gy, const std::uint32_t* bits, int64_t n, T* g) {
  for (; n >= kGateBlock; n -= kGateBlock, gy += kGateBlock, g += kGateBlock, bits += kGateLanes)
    gate_by_bits_of_block(gy, bits, g);
  if (n > 0) gate_by_bits_of(gy, bits, n, g);
}

template <class T>
void gate_by_x(const T* gy, const T* x, int64_t x_step, const T* scale, const T* shift, int64_t n, int64_t width,
               T* g) {
  for (int64_t i = 0; i < n; i += width, x += x_step) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) g[i + j] = x[j] * scale[j] + shift[j] > T(0) ? gy[i + j] : T(0);
  }
}

template <bool kGate, class T>
void reduce_as(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, int64_t n,
               int64_t width, T* s1, T* s2) {
  for (int64_t j = 0; j < width; ++j) s1[j] = s2[j] = 0;
  const auto open = [=](T value, T grad, int64_t j) {
    return !kGate || value * scale[j] + shift[j] > T(0) ? grad : T(0);
  };
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {  // four rows at once: the sums are loaded and stored once for them
    const T *p0 = x, *p1 = p0 + x_step, *p2 = p1 + x_step, *p3 = p2 + x_step;
    x = p3 + x_step;
    const T *q0 = g + i, *q1 = q0 + width, *q2 = q1 + width, *q3 = q2 + width;
    GRADUS_IVDEP
    for (int64_t j = 0; j < width; ++j) {
      const T g0 = open(p0[j], q0[j], j), g1 = open(p1[j], q1[j], j), g2 = open(p2[j], q2[j], j),
              g3 = open(p3[j], q3[j], j);
      s1[j] += (g0 + g1) + (g2 + g3);
      s2[j] += (g0 * (p0[j] - mean[j]) + g1 * (p1[j] - mean[j])) + (g2 * (p2[j] - mean[j]) + g3 * (p3[j] - mean[j]));
    }
  }
  for (; i < n; i += width, x += x_step) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) {
      const T v = open(x[j], g[i + j], j);
      s1[j] += v;
      s2[j] += v * (x[j] - mean[j]);
    }
  }
}
template <class T>
void reduce(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, bool gate, int64_t n,
            int64_t width, T* s1, T* s2) {
  (gate ? reduce_as<true, T> : reduce_as<false, T>)(g, x, x_step, mean, scale, shift, n, width, s1, s2);
}

template <bool kGate, bool kAdd, class T>
void combine_as(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, const T* a,
                const T* b, const T* c, T* gx, int64_t gx_step, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; i += width, x += x_step, gx += gx_step) {
    const int64_t count = least(width, n - i);
    GRADUS_IVDEP
    for (int64_t j = 0; j < count; ++j) {
      const T v = !kGate || x[j] * scale[j] + shift[j] > T(0) ? g[i + j] : T(0);
      const T own = a[j] * v + (b[j] * (x[j] - mean[j]) + c[j]);
      gx[j] = kAdd ? gx[j] + own : own;
    }
  }
}
template <class T>
void combine(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, bool gate,
             const T* a, const T* b, const T* c, bool add, T* gx, int64_t gx_step, int64_t n, int64_t width) {
  (gate  ? add ? combine_as<true, true, T> : combine_as<true, false, T>
    : add ? combine_as<false, true, T>
         : combine_as<false, false, T>)(g, x, x_step, mean, scale, shift, a, b, c, gx, gx_step, n, width);
}

template <class T>
constexpr ChannelRows<T> rows() {
  return {.moments = moments<T>,
          .apply = apply<T>,
          .scale = scale_rows<T>,
          .gate_bits = gate_bits<T>,
          .gate_by_bits = gate_by_bits<T>,
          .gate_by_x = gate_by_x<T>,
          .reduce = reduce<T>,
          .combine = combine<T>};
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ChannelRowsSimd, channel_rows_simd, {.f32 = rows<float>(), .f64 = rows<double>()})
