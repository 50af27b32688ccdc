#pragma once
// Kernels of max_pool2d. x and gx are [N,H,W,C] in memory, y and gy [N,P,Q,C]; `position` lies like y and says which
// position of its window won: row * widest + column, counted from the window's first position inside the plane.
//
// Bound by memory where windows do not overlap (traffic: x, y and the positions once), by compares where they do: one
// per position of the window and element of y, in both directions. Backward runs over rows of gx and collects from
// every window that covers them, so no two threads add to one place and the order of the sum is fixed.

#include "core/isa.hpp"
#include "ops/candidates.hpp"
#include "ops/pool/windows.hpp"

namespace gradus {

enum class MaxPoolTask {
  forward,  // x -> y, position
  pick,     // x, position -> y: the elements that won
  spread    // gy, position -> gx: every element to where it was won; the rest 0
};

/// T is float, double or (on CUDA) bf16, I the positions' type: std::uint8_t or std::int64_t.
template <class T, class I>
struct MaxPoolProblem {
  const PoolPlan* plan;
  const T* from;  // x, or gy for spread
  T* to;          // y, or gx for spread
  I* position;    // written by forward, read by the others
};
template <class T, class I>
const Candidates<MaxPoolProblem<T, I>>& max_pool2d_candidates(MaxPoolTask task);
namespace cuda {
template <class T, class I>
const Candidates<MaxPoolProblem<T, I>>& max_pool2d(MaxPoolTask task);
}

/// Turns positions in windows, as they lie like y, into positions in the plane; -1 where a window is empty.
namespace cpu {
void max_pool2d_indices(const PoolPlan& plan, std::int64_t* index);
}
namespace cuda {
void max_pool2d_indices(const PoolPlan& plan, std::int64_t* index);
}

/// Vector code, one row of one image at a time.
template <class T, class I>
struct MaxPoolRows {
  void (*forward)(const T* x, const PoolRow& row, T* y, I* position);
  void (*pick)(const T* x, const PoolRow& row, const I* position, T* y);
  /// One row of gx, from `readers` windows' rows: gy and position are the image's, row describes the columns.
  void (*spread)(const T* gy, const I* position, const Windows::Reader* reader, std::int64_t readers,
                 const PoolRow& row, T* gx);
};
struct MaxPoolSimd {
  MaxPoolRows<float, std::uint8_t> f32;
  MaxPoolRows<double, std::uint8_t> f64;
  MaxPoolRows<float, std::int64_t> f32_wide;
  MaxPoolRows<double, std::int64_t> f64_wide;
};
GRADUS_ISA_TABLE(MaxPoolSimd, max_pool_simd)

}  // namespace gradus
