// Local response normalisation, a pixel at a time, vectorised along channels. What is summed over windows is first
// written to scratch with zeros around it, so that the window's sum is a few shifted additions.

#include "core/simd.hpp"
#include "ops/local_response_norm/local_response_norm_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

using std::int64_t;

inline float root(float v) { return __builtin_sqrtf(v); }
inline double root(double v) { return __builtin_sqrt(v); }
inline float power(float v, double e) { return __builtin_powf(v, static_cast<float>(e)); }
inline double power(double v, double e) { return __builtin_pow(v, e); }

/// to[c] = d[c]^-beta
template <class T>
void negative_power(const T* d, int64_t n, double beta, T* to) {
  if (beta == 0.75) {
    for (int64_t c = 0; c < n; ++c) {
      const T r = root(d[c]);
      to[c] = T(1) / (r * root(r));
    }
  } else {
    for (int64_t c = 0; c < n; ++c) to[c] = power(d[c], -beta);
  }
}

/// d = k + scale * window sums of squares. padded: zeros, x's squares, zeros.
template <class T>
void divisors(const T* x, const LrnProblem<T>& p, T* padded, T* d) {
  const int64_t n = p.channels, size = p.window.before + p.window.after + 1;
  const T scale = static_cast<T>(p.scale), k = static_cast<T>(p.k);
  for (int64_t c = 0; c < n; ++c) padded[p.window.before + c] = x[c] * x[c];
  for (int64_t c = 0; c < n; ++c) d[c] = padded[c];
  for (int64_t s = 1; s < size; ++s)
    for (int64_t c = 0; c < n; ++c) d[c] += padded[c + s];
  for (int64_t c = 0; c < n; ++c) d[c] = k + scale * d[c];
}

template <class T>
void forward(const LrnProblem<T>& p, int64_t begin, int64_t end, T* scratch) {
  const int64_t n = p.channels, reach = n + p.window.before + p.window.after;
  T* __restrict padded = scratch, * __restrict d = scratch + reach, * __restrict f = d + reach;
  for (int64_t i = 0; i < reach; ++i) padded[i] = 0;
  for (int64_t i = begin; i < end; ++i) {
    const T* x = p.x + i * n;
    T* y = p.to + i * n;
    divisors(x, p, padded, d);
    negative_power(d, n, p.beta, f);
    for (int64_t c = 0; c < n; ++c) y[c] = x[c] * f[c];
  }
}

/// gx_c = gy_c d_c^-beta - 2 scale beta x_c * (sum of gy_j x_j d_j^(-beta-1) over the windows j that contain c)
template <class T>
void backward(const LrnProblem<T>& p, int64_t begin, int64_t end, T* scratch) {
  const int64_t n = p.channels, size = p.window.before + p.window.after + 1, reach = n + size - 1;
  T* __restrict squares = scratch, * __restrict d = squares + reach, * __restrict f = d + reach, * __restrict terms = f + reach;
  const T factor = static_cast<T>(-2 * p.scale * p.beta);
  for (int64_t i = 0; i < reach; ++i) squares[i] = terms[i] = 0;
  for (int64_t i = begin; i < end; ++i) {
    const T *x = p.x + i * n, *gy = p.gy + i * n;
    T* gx = p.to + i * n;
    divisors(x, p, squares, d);
    negative_power(d, n, p.beta, f);
    for (int64_t c = 0; c < n; ++c) terms[p.window.after + c] = gy[c] * x[c] * f[c] / d[c];
    for (int64_t c = 0; c < n; ++c) d[c] = terms[c];
    for (int64_t s = 1; s < size; ++s)
      for (int64_t c = 0; c < n; ++c) d[c] += terms[c + s];
    for (int64_t c = 0; c < n; ++c) gx[c] = gy[c] * f[c] + factor * x[c] * d[c];
  }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(LrnSimd, lrn_simd,
                  {.forward = forward<float>,
                   .backward = backward<float>,
                   .forward_f64 = forward<double>,
                   .backward_f64 = backward<double>})
