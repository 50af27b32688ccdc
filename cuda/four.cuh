#pragma once
// Four neighbours to a load, as numbers to compute with: 16 bytes of f32, 8 of bf16.

#include <cstdint>

#include "core/number.hpp"
#include "cuda/convert.cuh"

namespace gradus::cuda {

/// Four neighbours as numbers.
template <class T>
struct Four {
  Compute<T> at[4];
};

/// Four elements in memory, read and written as one.
template <class T>
struct alignas(4 * sizeof(T)) FourStored {
  T at[4];
};

/// Whether `p` can be read so: at a multiple of four elements.
template <class T>
bool aligned_for_four(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % sizeof(FourStored<T>) == 0;
}

template <class T>
__device__ inline Four<T> load4(const T* p) {
  const FourStored<T> stored = *reinterpret_cast<const FourStored<T>*>(p);
  Four<T> v;
#pragma unroll
  for (int k = 0; k < 4; ++k) v.at[k] = device_convert<Compute<T>>(stored.at[k]);
  return v;
}
template <class T>
__device__ inline void store4(T* p, const Four<T>& v) {
  FourStored<T> stored;
#pragma unroll
  for (int k = 0; k < 4; ++k) stored.at[k] = device_convert<T>(v.at[k]);
  *reinterpret_cast<FourStored<T>*>(p) = stored;
}

/// The first `count` of four, which are all there is; zero in the rest.
template <class T>
__device__ inline Four<T> load4(const T* p, int count) {
  if (count == 4) return load4(p);
  Four<T> v{};
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < count) v.at[k] = device_convert<Compute<T>>(p[k]);
  return v;
}
template <class T>
__device__ inline void store4(T* p, const Four<T>& v, int count) {
  if (count == 4) return store4(p, v);
#pragma unroll
  for (int k = 0; k < 4; ++k)
    if (k < count) p[k] = device_convert<T>(v.at[k]);
}

}  // namespace gradus::cuda
