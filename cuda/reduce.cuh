#pragma once
// Reductions within a warp and within a block, always in the same order.

#include "cuda/device_code.cuh"

namespace gradus::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

/// combine() over the warp's 32 lanes, as a tree; every lane gets the result. All lanes must come.
template <class T, class Combine>
__device__ inline T warp_reduce(T value, Combine combine) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// NaN if there is one.
struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

template <class T>
__device__ inline T warp_sum(T value) {
  return warp_reduce(value, Plus{});
}
template <class T>
__device__ inline T warp_max(T value) {
  return warp_reduce(value, Larger{});
}

/// combine() over the block's threads (a multiple of 32, at most 1024), along x; every thread gets the result.
/// `scratch` is shared memory for one T per warp; all threads must come. May be called again at once.
template <class T, class Combine>
__device__ inline T block_reduce(T value, T* scratch, Combine combine) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = warp_reduce(value, combine);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  T total = scratch[0];
  for (int w = 1; w < warps; ++w) total = combine(total, scratch[w]);
  __syncthreads();
  return total;
}
template <class T>
__device__ inline T block_sum(T value, T* scratch) {
  return block_reduce(value, scratch, Plus{});
}

}  // namespace gradus::cuda
