#pragma once
// Instruction sets, chosen at run time.
//
// A file named *_simd.cpp is compiled once per instruction set (portable, avx2, avx512), each time with GRADUS_ISA
// defined to the set's name. It puts everything it defines into namespace gradus::GRADUS_ISA, so that code compiled for
// a newer CPU is never linked into an older one's path, and exports its kernels as one table of function pointers:
//
//   // softmax_kernels.hpp
//   struct SoftmaxSimd { void (*forward)(const float* x, float* y, int64_t rows, int64_t n); };
//   GRADUS_ISA_TABLE(SoftmaxSimd, softmax_simd)   // softmax_simd() is the running CPU's table
//
//   // softmax_simd.cpp
//   GRADUS_ISA_DEFINE(SoftmaxSimd, softmax_simd, {.forward = forward})
//
// Such files call no templates of the standard library on hot paths that the linker might share between the sets.

namespace gradus {

enum class Isa { portable, avx2, avx512 };

/// The best set this build has and this CPU runs, or what GRADUS_SIMD=portable|avx2|avx512 asks for (an unknown name or
/// one the CPU lacks throws ValueError). Fixed at the first call.
Isa isa();
const char* isa_name(Isa);

}  // namespace gradus

#if defined(GRADUS_HAS_avx512)
#define GRADUS_ISA_CASE_AVX512(name) \
  case ::gradus::Isa::avx512:        \
    return avx512::name();
#define GRADUS_ISA_DECLARE_AVX512(Table, name) \
  namespace avx512 {                           \
  const Table& name();                         \
  }
#else
#define GRADUS_ISA_CASE_AVX512(name)
#define GRADUS_ISA_DECLARE_AVX512(Table, name)
#endif
#if defined(GRADUS_HAS_avx2)
#define GRADUS_ISA_CASE_AVX2(name) \
  case ::gradus::Isa::avx2:        \
    return avx2::name();
#define GRADUS_ISA_DECLARE_AVX2(Table, name) \
  namespace avx2 {                           \
  const Table& name();                       \
  }
#else
#define GRADUS_ISA_CASE_AVX2(name)
#define GRADUS_ISA_DECLARE_AVX2(Table, name)
#endif

/// Inside namespace gradus: declares the per-set tables and name(), which returns the running CPU's.
#define GRADUS_ISA_TABLE(Table, name)    \
  namespace portable {                   \
  const Table& name();                   \
  }                                      \
  GRADUS_ISA_DECLARE_AVX2(Table, name)   \
  GRADUS_ISA_DECLARE_AVX512(Table, name) \
  inline const Table& name() {           \
    switch (isa()) {                     \
      GRADUS_ISA_CASE_AVX512(name)       \
      GRADUS_ISA_CASE_AVX2(name)         \
      default: return portable::name();  \
    }                                    \
  }

/// At global scope of a *_simd.cpp: defines this set's table. Entries are named with designated initialisers.
#define GRADUS_ISA_DEFINE(Table, name, ...)   \
  namespace gradus::GRADUS_ISA {              \
  const Table& name() {                       \
    static constexpr Table table __VA_ARGS__; \
    return table;                             \
  }                                           \
  }
