// The optimisers' inner loops: plain loops, which the compiler turns into vector code. All of them are bound by memory.

#include "nn/optim/optim_kernels.hpp"

#include <cmath>

namespace gradus::GRADUS_ISA {
namespace {

using optim::AdagradCoefficients;
using optim::AdamCoefficients;
using optim::RmsPropCoefficients;
using optim::Run;
using optim::SgdCoefficients;

template <class T>
void sgd(const Run& run, const SgdCoefficients& c) {
  auto* __restrict w = static_cast<T*>(run.w);
  const auto* __restrict g = static_cast<const T*>(run.g);
  auto* __restrict v = static_cast<T*>(run.state[0]);
  const T g_scale = static_cast<T>(c.g_scale), decay = static_cast<T>(c.decay), keep = static_cast<T>(c.keep);
  const T momentum = static_cast<T>(c.momentum), gradient = static_cast<T>(c.gradient);
  const T by_gradient = static_cast<T>(c.by_gradient), by_velocity = static_cast<T>(c.by_velocity);
  if (v == nullptr) {
    for (std::int64_t i = 0; i < run.n; ++i) w[i] = keep * w[i] + by_gradient * (g_scale * g[i] + decay * w[i]);
    return;
  }
  for (std::int64_t i = 0; i < run.n; ++i) {
    const T d = g_scale * g[i] + decay * w[i];
    const T velocity = momentum * v[i] + gradient * d;
    v[i] = velocity;
    w[i] = keep * w[i] + (by_gradient * d + by_velocity * velocity);
  }
}

template <class T, bool kMomentum, bool kCentered>
void rmsprop_form(const Run& run, const RmsPropCoefficients& c) {
  auto* __restrict w = static_cast<T*>(run.w);
  const auto* __restrict g = static_cast<const T*>(run.g);
  auto* __restrict s = static_cast<T*>(run.state[0]);
  auto* __restrict b = static_cast<T*>(run.state[1]);
  auto* __restrict m = static_cast<T*>(run.state[2]);
  const T decay = static_cast<T>(c.decay), alpha = static_cast<T>(c.alpha), rest = static_cast<T>(1 - c.alpha);
  const T momentum = static_cast<T>(c.momentum), inner = static_cast<T>(c.inner_lr), outer = static_cast<T>(c.outer_lr);
  const T eps_in = static_cast<T>(c.eps_inside ? c.eps : 0), eps_out = static_cast<T>(c.eps_inside ? 0 : c.eps);
  for (std::int64_t i = 0; i < run.n; ++i) {
    const T d = g[i] + decay * w[i];
    const T square = alpha * s[i] + rest * (d * d);
    s[i] = square;
    T variance = square;
    if constexpr (kCentered) {
      const T mean = alpha * m[i] + rest * d;
      m[i] = mean;
      variance -= mean * mean;
    }
    const T ratio = d / (std::sqrt(variance + eps_in) + eps_out);
    if constexpr (kMomentum) {
      const T velocity = momentum * b[i] + inner * ratio;
      b[i] = velocity;
      w[i] -= outer * velocity;
    } else {
      w[i] -= outer * (inner * ratio);
    }
  }
}

template <class T>
void rmsprop(const Run& run, const RmsPropCoefficients& c) {
  const bool momentum = run.state[1] != nullptr, centered = run.state[2] != nullptr;
  if (momentum && centered) return rmsprop_form<T, true, true>(run, c);
  if (momentum) return rmsprop_form<T, true, false>(run, c);
  if (centered) return rmsprop_form<T, false, true>(run, c);
  rmsprop_form<T, false, false>(run, c);
}

template <class T, bool kMax>
void adam_form(const Run& run, const AdamCoefficients& c) {
  auto* __restrict w = static_cast<T*>(run.w);
  const auto* __restrict g = static_cast<const T*>(run.g);
  auto* __restrict m = static_cast<T*>(run.state[0]);
  auto* __restrict v = static_cast<T*>(run.state[1]);
  auto* __restrict u = static_cast<T*>(run.state[2]);
  const T decay = static_cast<T>(c.decay), keep = static_cast<T>(c.keep);
  const T rest1 = static_cast<T>(1 - c.beta1), beta2 = static_cast<T>(c.beta2), rest2 = static_cast<T>(1 - c.beta2);
  const T lr = static_cast<T>(c.lr), scale = static_cast<T>(c.scale), eps = static_cast<T>(c.eps);
  for (std::int64_t i = 0; i < run.n; ++i) {
    const T d = g[i] + decay * w[i];
    const T mean = m[i] + rest1 * (d - m[i]);
    T square = beta2 * v[i] + rest2 * (d * d);
    m[i] = mean;
    v[i] = square;
    if constexpr (kMax) {
      square = u[i] > square ? u[i] : square;
      u[i] = square;
    }
    w[i] = keep * w[i] - lr * mean / (std::sqrt(square) * scale + eps);
  }
}

template <class T>
void adam(const Run& run, const AdamCoefficients& c) {
  if (run.state[2] != nullptr) return adam_form<T, true>(run, c);
  adam_form<T, false>(run, c);
}

template <class T>
void adagrad(const Run& run, const AdagradCoefficients& c) {
  auto* __restrict w = static_cast<T*>(run.w);
  const auto* __restrict g = static_cast<const T*>(run.g);
  auto* __restrict s = static_cast<T*>(run.state[0]);
  const T decay = static_cast<T>(c.decay), lr = static_cast<T>(c.lr), eps = static_cast<T>(c.eps);
  for (std::int64_t i = 0; i < run.n; ++i) {
    const T d = g[i] + decay * w[i];
    const T sum = s[i] + d * d;
    s[i] = sum;
    w[i] -= lr * d / (std::sqrt(sum) + eps);
  }
}

template <class T>
void lerp(void* y_, const void* x_, double amount_, std::int64_t n) {
  auto* __restrict y = static_cast<T*>(y_);
  const auto* __restrict x = static_cast<const T*>(x_);
  const T amount = static_cast<T>(amount_);
  for (std::int64_t i = 0; i < n; ++i) y[i] += amount * (x[i] - y[i]);
}

template <class T>
void scale(void* y_, double factor_, std::int64_t n) {
  auto* y = static_cast<T*>(y_);
  const T factor = static_cast<T>(factor_);
  for (std::int64_t i = 0; i < n; ++i) y[i] *= factor;
}

template <class T>
void clamp(void* y_, double bound_, std::int64_t n) {
  auto* y = static_cast<T*>(y_);
  const T bound = static_cast<T>(bound_);
  for (std::int64_t i = 0; i < n; ++i) {
    const T upper = y[i] > bound ? bound : y[i];  // comparisons with NaN are false: it stays
    y[i] = upper < -bound ? -bound : upper;
  }
}

template <class T>
double sum_of_squares(const void* x_, std::int64_t n) {
  const auto* x = static_cast<const T*>(x_);
  constexpr int kSums = 16;  // independent sums, which become vector lanes
  double sum[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int k = 0; k < kSums; ++k) sum[k] += static_cast<double>(x[i + k]) * static_cast<double>(x[i + k]);
  for (int k = 0; i < n; ++i, ++k) sum[k] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (int width = kSums / 2; width > 0; width /= 2)
    for (int k = 0; k < width; ++k) sum[k] += sum[k + width];
  return sum[0];
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(OptimSimd, optim_simd,
                  {.sgd = {sgd<float>, sgd<double>},
                   .rmsprop = {rmsprop<float>, rmsprop<double>},
                   .adam = {adam<float>, adam<double>},
                   .adagrad = {adagrad<float>, adagrad<double>},
                   .lerp = {lerp<float>, lerp<double>},
                   .scale = {scale<float>, scale<double>},
                   .clamp = {clamp<float>, clamp<double>},
                   .sum_of_squares = {sum_of_squares<float>, sum_of_squares<double>}})
