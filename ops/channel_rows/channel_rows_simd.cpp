// Channels are the fastest dimension, so per-channel numbers are vectors that lie along the loop. Rows of a dense
// block's channels may be short and of any length: vectors, then half ones, then single elements.

#include "core/simd.hpp"
#include "ops/channel_rows/channel_rows.hpp"

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

// Elements that share 16 words of gate bits.
constexpr int kGateLanes = 16, kGateBlock = 32 * kGateLanes;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// W numbers of type T.
template <class T, int W>
struct Lanes {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};
template <class T, int W>
using LanesOf = typename Lanes<T, W>::type;

template <int W, class T>
inline LanesOf<T, W> get(const T* p) {
  LanesOf<T, W> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <int W, class T>
inline void put(T* p, LanesOf<T, W> v) {
  std::memcpy(p, &v, sizeof v);
}

/// fn.operator()<W>(j) for elements [j, j + W) that cover [0, n).
template <class Fn>
inline void along(int64_t n, Fn&& fn) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) fn.template operator()<kLanes>(j);
  if constexpr (kLanes > 8)
    for (; j + 8 <= n; j += 8) fn.template operator()<8>(j);
  if constexpr (kLanes > 4)
    for (; j + 4 <= n; j += 4) fn.template operator()<4>(j);
  for (; j < n; ++j) fn.template operator()<1>(j);
}

template <class T>
void moments(const T* x, int64_t x_step, int64_t n, int64_t width, const T* shift, T* s1, T* s2) {
  for (int64_t j = 0; j < width; ++j) s1[j] = s2[j] = 0;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {  // four rows at once: the sums are loaded and stored once for them
    const T *p0 = x, *p1 = p0 + x_step, *p2 = p1 + x_step, *p3 = p2 + x_step;
    x = p3 + x_step;
    along(width, [&]<int W>(int64_t j) {
      const auto m = get<W>(shift + j);
      const auto d0 = get<W>(p0 + j) - m, d1 = get<W>(p1 + j) - m, d2 = get<W>(p2 + j) - m, d3 = get<W>(p3 + j) - m;
      put<W>(s1 + j, get<W>(s1 + j) + ((d0 + d1) + (d2 + d3)));
      put<W>(s2 + j, get<W>(s2 + j) + ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)));
    });
  }
  for (; i < n; i += width, x += x_step)
    along(least(width, n - i), [&]<int W>(int64_t j) {
      const auto d = get<W>(x + j) - get<W>(shift + j);
      put<W>(s1 + j, get<W>(s1 + j) + d);
      put<W>(s2 + j, get<W>(s2 + j) + d * d);
    });
}

/// W numbers as double.
template <int W, class T>
inline LanesOf<double, W> get_double(const T* p) {
  return __builtin_convertvector(get<W>(p), LanesOf<double, W>);
}

// Chan, Golub and LeVeque 1979, equation 1.5.
template <class T>
void join_moments(const T* shift, const T* s1, const T* s2, int64_t repeat, int64_t channels, int64_t rows,
                  double* mean, double* m2, int64_t count) {
  const auto own = static_cast<double>(rows), total = own + static_cast<double>(count);
  const double inverse = 1 / own, share = own / total, weight = static_cast<double>(count) * share;
  along(channels, [&]<int W>(int64_t c) {
    auto sum = get_double<W>(s1 + c), squares = get_double<W>(s2 + c);
    for (int64_t r = 1; r < repeat; ++r) {
      sum += get_double<W>(s1 + r * channels + c);
      squares += get_double<W>(s2 + r * channels + c);
    }
    const auto d = sum * inverse, spread = squares - sum * d, before = get<W>(mean + c);
    const auto delta = get_double<W>(shift + c) + d - before, zero = LanesOf<double, W>{};
    put<W>(mean + c, before + delta * share);
    put<W>(m2 + c, get<W>(m2 + c) + (spread > zero ? spread : zero) + delta * delta * weight);
  });
}

template <bool kRelu, bool kResidual, class T>
void apply_as(const T* x, int64_t x_step, const T* residual, const T* scale, const T* shift, T* y, int64_t n,
              int64_t width) {
  for (int64_t i = 0; i < n; i += width, x += x_step)
    along(least(width, n - i), [&]<int W>(int64_t j) {
      auto v = get<W>(x + j) * get<W>(scale + j) + get<W>(shift + j);
      if constexpr (kResidual) v += get<W>(residual + i + j);
      if constexpr (kRelu) v = v <= LanesOf<T, W>{} ? LanesOf<T, W>{} : v;  // NaN passes, as in relu
      put<W>(y + i + j, v);
    });
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
  for (int64_t i = 0; i < n; i += width)
    along(least(width, n - i), [&]<int W>(int64_t j) { put<W>(y + i + j, get<W>(x + i + j) * get<W>(scale + j)); });
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

/// g where the gate x * scale + shift > 0 is open, else 0.
template <bool kGate, int W, class T>
inline LanesOf<T, W> gated(LanesOf<T, W> g, LanesOf<T, W> x, const T* scale, const T* shift) {
  if constexpr (!kGate) return g;
  return x * get<W>(scale) + get<W>(shift) > LanesOf<T, W>{} ? g : LanesOf<T, W>{};
}

template <class T>
void gate_by_x(const T* gy, const T* x, int64_t x_step, const T* scale, const T* shift, int64_t n, int64_t width,
               T* g) {
  for (int64_t i = 0; i < n; i += width, x += x_step)
    along(least(width, n - i), [&]<int W>(int64_t j) {
      put<W>(g + i + j, gated<true, W>(get<W>(gy + i + j), get<W>(x + j), scale + j, shift + j));
    });
}

template <bool kGate, class T>
void reduce_as(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, int64_t n,
               int64_t width, T* s1, T* s2) {
  for (int64_t j = 0; j < width; ++j) s1[j] = s2[j] = 0;
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width) {  // four rows at once: the sums are loaded and stored once for them
    const T *p0 = x, *p1 = p0 + x_step, *p2 = p1 + x_step, *p3 = p2 + x_step;
    x = p3 + x_step;
    const T *q0 = g + i, *q1 = q0 + width, *q2 = q1 + width, *q3 = q2 + width;
    along(width, [&]<int W>(int64_t j) {
      const auto x0 = get<W>(p0 + j), x1 = get<W>(p1 + j), x2 = get<W>(p2 + j), x3 = get<W>(p3 + j);
      const auto m = get<W>(mean + j);
      const auto g0 = gated<kGate, W>(get<W>(q0 + j), x0, scale + j, shift + j),
                 g1 = gated<kGate, W>(get<W>(q1 + j), x1, scale + j, shift + j),
                 g2 = gated<kGate, W>(get<W>(q2 + j), x2, scale + j, shift + j),
                 g3 = gated<kGate, W>(get<W>(q3 + j), x3, scale + j, shift + j);
      put<W>(s1 + j, get<W>(s1 + j) + ((g0 + g1) + (g2 + g3)));
      put<W>(s2 + j, get<W>(s2 + j) + ((g0 * (x0 - m) + g1 * (x1 - m)) + (g2 * (x2 - m) + g3 * (x3 - m))));
    });
  }
  for (; i < n; i += width, x += x_step)
    along(least(width, n - i), [&]<int W>(int64_t j) {
      const auto v = get<W>(x + j), open = gated<kGate, W>(get<W>(g + i + j), v, scale + j, shift + j);
      put<W>(s1 + j, get<W>(s1 + j) + open);
      put<W>(s2 + j, get<W>(s2 + j) + open * (v - get<W>(mean + j)));
    });
}
template <class T>
void reduce(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, bool gate, int64_t n,
            int64_t width, T* s1, T* s2) {
  (gate ? reduce_as<true, T> : reduce_as<false, T>)(g, x, x_step, mean, scale, shift, n, width, s1, s2);
}

template <bool kGate, bool kAdd, class T>
void combine_as(const T* g, const T* x, int64_t x_step, const T* mean, const T* scale, const T* shift, const T* a,
                const T* b, const T* c, T* gx, int64_t gx_step, int64_t n, int64_t width) {
  for (int64_t i = 0; i < n; i += width, x += x_step, gx += gx_step)
    along(least(width, n - i), [&]<int W>(int64_t j) {
      const auto v = get<W>(x + j), open = gated<kGate, W>(get<W>(g + i + j), v, scale + j, shift + j);
      auto own = get<W>(a + j) * open + (get<W>(b + j) * (v - get<W>(mean + j)) + get<W>(c + j));
      if constexpr (kAdd) own += get<W>(gx + j);
      put<W>(gx + j, own);
    });
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
          .join_moments = join_moments<T>,
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
