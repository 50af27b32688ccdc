#pragma once
// One thread for each of n elements: the grid for it, and the kernel for what needs no more than a formula.
//
//   each(n, [=] __device__(std::int64_t i) { y[i] = x[i] * a; });
//
// The lambda stands in a named function or function template (nvcc allows it nowhere else) and captures by value.

#include <algorithm>
#include <cstdint>

#include "cuda/launch.cuh"
#include "cuda/runtime.hpp"

namespace gradus::cuda {

inline constexpr int kEachThreads = 256;

/// Blocks of `threads` that cover n elements. A grid has at most 2^31 - 1 blocks along x.
inline dim3 blocks_for(std::int64_t n, int threads = kEachThreads) {
  return dim3(static_cast<unsigned>(std::min<std::int64_t>((n + threads - 1) / threads, 0x7fffffff)));
}

/// This thread's number in a grid along x, and how many there are.
__device__ inline std::int64_t global_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t global_threads() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

template <class Body>
__global__ void __launch_bounds__(kEachThreads) each_kernel(std::int64_t n, Body body) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) body(i);
}

template <class Body>
void each(std::int64_t n, Body body) {
  if (n <= 0) return;
  launch(each_kernel<Body>, blocks_for(n), dim3(kEachThreads), 0, stream(), n, body);
}

}  // namespace gradus::cuda
