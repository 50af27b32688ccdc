#pragma once
// CUDA's atomics on the host's: blocks run on several operating-system threads at once. Relaxed, as in CUDA; what
// orders memory around them is __threadfence().

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "cuda/simt/half.hpp"

namespace gradus::simt {

// clang-format off
template <int size> struct WordOf;
template <> struct WordOf<2> { using type = std::uint16_t; };
template <> struct WordOf<4> { using type = std::uint32_t; };
template <> struct WordOf<8> { using type = std::uint64_t; };
// clang-format on

/// *p = f(*p) in one step; returns what was there.
template <class T, class F>
inline T atomic_update(T* p, F f) {
  using Word = typename WordOf<sizeof(T)>::type;
  auto* word = reinterpret_cast<Word*>(p);
  Word before = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    const T old = std::bit_cast<T>(before);
    const Word after = std::bit_cast<Word>(static_cast<T>(f(old)));
    if (__atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return old;
  }
}

}  // namespace gradus::simt

// Integers: the type's own wrap-around arithmetic.
#define GRADUS_SIMT_ATOMIC_INTEGER(T)                                                       \
  inline T atomicAdd(T* p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }      \
  inline T atomicSub(T* p, T v) { return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED); }      \
  inline T atomicAnd(T* p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_RELAXED); }      \
  inline T atomicOr(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }        \
  inline T atomicXor(T* p, T v) { return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED); }      \
  inline T atomicExch(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); }    \
  inline T atomicMin(T* p, T v) {                                                           \
    return gradus::simt::atomic_update(p, [v](T old) { return std::min(old, v); });         \
  }                                                                                         \
  inline T atomicMax(T* p, T v) {                                                           \
    return gradus::simt::atomic_update(p, [v](T old) { return std::max(old, v); });         \
  }                                                                                         \
  inline T atomicCAS(T* p, T compare, T v) {                                                \
    __atomic_compare_exchange_n(p, &compare, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
    return compare;                                                                         \
  }
GRADUS_SIMT_ATOMIC_INTEGER(int)
GRADUS_SIMT_ATOMIC_INTEGER(unsigned int)
GRADUS_SIMT_ATOMIC_INTEGER(long long)
GRADUS_SIMT_ATOMIC_INTEGER(unsigned long long)
#undef GRADUS_SIMT_ATOMIC_INTEGER

/// old >= limit ? 0 : old + 1
inline unsigned atomicInc(unsigned* p, unsigned limit) {
  return gradus::simt::atomic_update(p, [limit](unsigned old) { return old >= limit ? 0u : old + 1u; });
}
/// old == 0 || old > limit ? limit : old - 1
inline unsigned atomicDec(unsigned* p, unsigned limit) {
  return gradus::simt::atomic_update(p, [limit](unsigned old) { return old == 0 || old > limit ? limit : old - 1u; });
}

inline float atomicAdd(float* p, float v) {
  return gradus::simt::atomic_update(p, [v](float old) { return old + v; });
}
inline double atomicAdd(double* p, double v) {
  return gradus::simt::atomic_update(p, [v](double old) { return old + v; });
}
inline float atomicExch(float* p, float v) {
  return gradus::simt::atomic_update(p, [v](float) { return v; });
}
inline __nv_bfloat16 atomicAdd(__nv_bfloat16* p, __nv_bfloat16 v) {
  return gradus::simt::atomic_update(p, [v](__nv_bfloat16 old) { return __hadd(old, v); });
}
inline __half atomicAdd(__half* p, __half v) {
  return gradus::simt::atomic_update(p, [v](__half old) { return __hadd(old, v); });
}
