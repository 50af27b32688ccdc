#pragma once
// What every .cu and .cuh includes first: the CUDA C++ dialect.
//
// A .cu file is compiled two ways. By nvcc, for GPUs: then this is NVIDIA's headers. By the host compiler with
// GRADUS_SIMT defined (-x c++), for the emulator: then it is cuda/simt, which gives the same names the same meaning on
// a CPU. What the two must have in common, and so what device code may use, is listed in docs/emulator.md; the few
// things CUDA spells in a way no C++ compiler takes have a helper:
//   kernel<<<…>>>(…)          launch(kernel, grid, block, shared_bytes, stream, …)      cuda/launch.cuh
//   extern __shared__ T s[]   T* s = dynamic_shared<T>()                                here
//   asm("ptx")                a function of cuda/ptx.cuh

#if defined(GRADUS_SIMT)

#include "cuda/simt/device.hpp"

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace gradus {

/// The block's dynamic shared memory, aligned to 1024 bytes (what TMA's widest swizzle wants). It has one beginning: a
/// kernel with several arrays adds their offsets itself.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char gradus_dynamic_shared[];
  return reinterpret_cast<T*>(gradus_dynamic_shared);
}

}  // namespace gradus

#endif
