#pragma once
// What the SIMD kernels of a forward convolution do to a sum before they store it: ConvEpilogue on vectors.

#include "ops/conv2d/conv2d_kernels.hpp"

namespace gradus {

/// y = act(scale[k] sum + shift[k] + residual), the members as ConvEpilogue's. `residual` lies as y does.
struct ConvFinish {
  const float *scale, *shift;
  const float *y, *residual;
  bool relu;

  ConvFinish(const ConvEpilogue& e, const float* result)
      : scale(static_cast<const float*>(e.scale)),
        shift(static_cast<const float*>(e.shift)),
        y(result),
        residual(static_cast<const float*>(e.residual)),
        relu(e.relu) {}
};

}  // namespace gradus

#if defined(GRADUS_ISA)
#include "core/simd.hpp"

namespace gradus::GRADUS_ISA {

/// The sum of the channels k to k + kLanes - 1, the first n of which exist, that belongs at `to`.
inline VecN finished(VecN sum, const ConvFinish& f, std::int64_t k, const float* to, std::int64_t n) {
  const auto first = [n](const float* p) { return n == kLanes ? load(p) : load_first(p, n); };
  if (f.scale) sum = sum * first(f.scale + k) + first(f.shift + k);
  if (f.residual) sum += first(f.residual + (to - f.y));
  return f.relu ? (sum < VecN{} ? VecN{} : sum) : sum;  // NaN stays
}

/// In place, the sums of n channels from k on that lie at y: they were stored a moment ago.
inline void finish(const ConvFinish& f, std::int64_t k, float* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, finished(load(y + i), f, k + i, y + i, kLanes));
  if (i < n) store_first(y + i, finished(load_first(y + i, n - i), f, k + i, y + i, n - i), n - i);
}

}  // namespace gradus::GRADUS_ISA
#endif
