#pragma once
// The CUDA C++ dialect for the host compiler: what nvcc knows without being told, in its own names at global scope.
//
// `__shared__` is `static thread_local`: a block's threads are fibers on one operating-system thread (simt/block.hpp),
// so a thread-local variable is exactly one per block that runs. threadIdx and its kin are thread-local variables too,
// which the fiber switch sets.

#include <bit>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "cuda/simt/atomics.hpp"
#include "cuda/simt/half.hpp"
#include "cuda/simt/math.hpp"
#include "cuda/simt/runtime_api.hpp"
#include "cuda/simt/thread.hpp"
#include "cuda/simt/vector_types.hpp"
#include "cuda/simt/warp.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

namespace gradus {

/// The block's dynamic shared memory, aligned to 1024 bytes. It has one beginning: a kernel with several arrays adds
/// their offsets itself.
template <class T>
inline T* dynamic_shared() {
  return reinterpret_cast<T*>(simt::dynamic_shared_memory());
}

}  // namespace gradus

// Read-only and streaming loads are loads; the cache hints have no meaning here.
template <class T>
inline T __ldg(const T* p) {
  return *p;
}
template <class T>
inline T __ldcs(const T* p) {
  return *p;
}
template <class T>
inline T __ldcg(const T* p) {
  return *p;
}
template <class T>
inline T __ldca(const T* p) {
  return *p;
}
template <class T>
inline void __stcs(T* p, T v) {
  *p = v;
}
template <class T>
inline void __stcg(T* p, T v) {
  *p = v;
}

/// Shared-memory addresses fit in 32 bits on a GPU; here they keep all 64, and only cuda/ptx.cuh takes them.
inline std::size_t __cvta_generic_to_shared(const void* p) { return reinterpret_cast<std::size_t>(p); }

/// Time in emulation says nothing about a GPU; it only moves forward.
inline long long clock64() { return gradus::simt::ticks(); }
