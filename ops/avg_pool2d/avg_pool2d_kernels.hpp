#pragma once
// Kernels of avg_pool2d. x and gx are [N,H,W,C] in memory, y and gy [N,P,Q,C]. Bound by memory: x and y once. Backward
// runs over rows of gx and collects from every window that covers them: no two threads add to one place.

#include "core/isa.hpp"
#include "ops/candidates.hpp"
#include "ops/pool/windows.hpp"

namespace gradus {

template <class T>
struct AvgPoolProblem {
  const PoolPlan* plan;
  const T* from;  // x; backward: gy
  T* to;          // y; backward: gx
};
template <class T>
const Candidates<AvgPoolProblem<T>>& avg_pool2d_candidates(bool backward);
namespace cuda {
template <class T>
const Candidates<AvgPoolProblem<T>>& avg_pool2d(bool backward);
}

/// Vector code, one row of one image at a time. inverse[q] is 1 / (the window's divisor).
template <class T>
struct AvgPoolRows {
  void (*forward)(const T* x, const PoolRow& row, const T* inverse, T* y);
  /// One row of gx from the gy rows of `readers` windows; inverse_rows[p] * inverse_cols[q] is 1 / (the divisor).
  void (*backward)(const T* gy, const Windows::Reader* reader, std::int64_t readers, const PoolRow& row,
                   const T* inverse_rows, const T* inverse_cols, T* gx);
};
struct AvgPoolSimd {
  AvgPoolRows<float> f32;
  AvgPoolRows<double> f64;
};
GRADUS_ISA_TABLE(AvgPoolSimd, avg_pool_simd)

}  // namespace gradus
