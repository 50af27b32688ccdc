#pragma once
// Vectors of floats for *_simd.cpp files: the compiler's vector extensions, as wide as the set being compiled for.
// A wider vector than the machine has is legal and is split by the compiler, so one kernel serves all sets.

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "core/isa.hpp"

#if !defined(GRADUS_ISA)
#error "core/simd.hpp is for *_simd.cpp files, which are compiled with GRADUS_ISA defined"
#endif

namespace gradus::GRADUS_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;      // floats in a native vector
inline constexpr int kRegisters = 32;  // vector registers
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
inline constexpr int kRegisters = 16;
#else
inline constexpr int kLanes = 4;
inline constexpr int kRegisters = 16;
#endif

/// W floats. Arithmetic is element by element; a * b + c becomes one fused multiply-add where the set has it.
template <int W>
struct VecOf {
  typedef float type __attribute__((vector_size(W * sizeof(float))));
  typedef std::int32_t mask __attribute__((vector_size(W * sizeof(float))));
};
template <int W>
using Vec = typename VecOf<W>::type;
template <int W>
using Mask = typename VecOf<W>::mask;

using VecN = Vec<kLanes>;  // the native width
using MaskN = Mask<kLanes>;

template <int W = kLanes>
inline Vec<W> load(const float* p) {  // any alignment
  Vec<W> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <int W>
inline void store_vec(float* p, Vec<W> v) {
  std::memcpy(p, &v, sizeof v);
}
inline void store(float* p, VecN v) { std::memcpy(p, &v, sizeof v); }

template <int W = kLanes>
inline Vec<W> broadcast(float x) {
  return x - Vec<W>{};  // nothing is subtracted: 0 + x would turn -0 into 0, and so could not be left out
}

/// The first n lanes from p, zero in the rest; reads only those n floats.
template <int W = kLanes>
inline Vec<W> load_first(const float* p, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (W == 16) return Vec<W>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p));
#endif
  Vec<W> v{};
  std::memcpy(&v, p, static_cast<std::size_t>(n) * sizeof(float));
  return v;
}
template <int W = kLanes>
inline void store_first(float* p, Vec<W> v, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (W == 16) return _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), __m512(v));
#endif
  std::memcpy(p, &v, static_cast<std::size_t>(n) * sizeof(float));
}

template <class V>
inline V max(V a, V b) {
  return a > b ? a : b;
}
template <class V>
inline V min(V a, V b) {
  return a < b ? a : b;
}

/// Sum over the lanes, always in the same order: each of the first half with its like in the second, and so on.
template <int W = kLanes>
inline float sum_lanes(Vec<W> v) {
  if constexpr (W == 1) {
    return v[0];
  } else {
    return [&]<int... kLane>(std::integer_sequence<int, kLane...>) {
      return sum_lanes<W / 2>(__builtin_shufflevector(v, v, kLane...) +
                              __builtin_shufflevector(v, v, (kLane + W / 2)...));
    }
    (std::make_integer_sequence<int, W / 2>());
  }
}

}  // namespace gradus::GRADUS_ISA
