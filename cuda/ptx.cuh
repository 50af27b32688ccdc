#pragma once
// The PTX instructions our kernels use, one function each: the only place with inline assembly, but for Hopper's own
// (cuda/ptx_sm90.cuh). Beside each stands what it means to the emulator.
//
// Names and layouts are those of NVIDIA's PTX ISA, section "Warp-level matrix instructions". `lane` is 0 to 31, and
// g = lane / 4, t = lane % 4. A register of two 16-bit elements holds the one of lower index in its lower half.

#include <cstdint>

#include "cuda/device_code.cuh"

#if defined(GRADUS_SIMT)
#include "cuda/simt/tensor_core.hpp"
// Where a call stands, so that a fault can name its line.
#define GRADUS_PTX_WHERE , const simt::Where& where = simt::Where::current()
#define GRADUS_PTX_WHERE_ONLY const simt::Where& where = simt::Where::current()
#else
#define GRADUS_PTX_WHERE
#define GRADUS_PTX_WHERE_ONLY
#endif

namespace gradus::ptx {

#if !defined(GRADUS_SIMT)
/// The 32-bit address shared memory has in PTX.
__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
#endif

// ---- ldmatrix: 8x8 matrices of 16-bit elements from shared memory (sm_75) ----
// Lanes 8 i to 8 i + 7 give the addresses of the eight rows (16 bytes each, 16-byte aligned) of matrix i. Every lane
// gets, of matrix i, elements (g, 2 t) and (g, 2 t + 1) in r[i]; of the transposed form (2 t, g) and (2 t + 1, g).

/// One matrix; lanes 0 to 7 give its rows.
__device__ __forceinline__ void ldmatrix_x1(std::uint32_t (&r)[1], const void* row GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::ldmatrix(1, false, r, row, where);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(r[0])
               : "r"(shared_address(row))
               : "memory");
#endif
}
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const void* row GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::ldmatrix(2, false, r, row, where);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#endif
}
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::ldmatrix(4, false, r, row, where);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}
__device__ __forceinline__ void ldmatrix_x1_trans(std::uint32_t (&r)[1], const void* row GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::ldmatrix(1, true, r, row, where);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(r[0])
               : "r"(shared_address(row))
               : "memory");
#endif
}
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* row GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::ldmatrix(2, true, r, row, where);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
#endif
}
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::ldmatrix(4, true, r, row, where);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

// ---- mma: d += a b on tensor cores (sm_80) ----
// Accumulator d is 16x8 f32: d[0], d[1] = (g, 2 t), (g, 2 t + 1); d[2], d[3] the same of row g + 8.

/// a 16x16: a[0] = (g, 2 t..), a[1] = (g + 8, 2 t..), a[2] = (g, 2 t + 8..), a[3] = (g + 8, 2 t + 8..).
/// b 16x8: b[0] = (2 t.., g), b[1] = (2 t + 8.., g). Elements are bf16.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                                  const std::uint32_t (&b)[2] GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::mma(simt::MmaKind::bf16_m16n8k16, d, a, b, where);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
/// The same for half.
__device__ __forceinline__ void mma_m16n8k16_f16(float (&d)[4], const std::uint32_t (&a)[4],
                                                 const std::uint32_t (&b)[2] GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::mma(simt::MmaKind::f16_m16n8k16, d, a, b, where);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
/// a 16x8: a[0] = (g, t), a[1] = (g + 8, t), a[2] = (g, t + 4), a[3] = (g + 8, t + 4). b 8x8: b[0] = (t, g), b[1] = (t
/// + 4, g). Elements are the bits of f32 values; the 13 lowest are ignored, so round with cvt_rna_tf32 first.
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                                 const std::uint32_t (&b)[2] GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::mma(simt::MmaKind::tf32_m16n8k8, d, a, b, where);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

/// The bits of x rounded to TF32 (10 bits of mantissa), halves away from zero (sm_80).
__device__ __forceinline__ std::uint32_t cvt_rna_tf32(float x) {
#if defined(GRADUS_SIMT)
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7f800000u) == 0x7f800000u) return (u & 0x7fffffu) != 0 ? 0x7fffffffu : u;  // NaN, infinity
  return (u + 0x1000u) & 0xffffe000u;
#else
  std::uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
#endif
}

// ---- cp.async: global to shared memory, past the registers (sm_80) ----
// A thread's copies since its last commit form a group. Waiting makes a thread's own copies visible to itself; others
// see them after a barrier that follows. Both addresses are aligned to `bytes`, which is 4, 8 or 16.

/// Copies if `valid`, else writes zeros and reads nothing. 16 bytes go past the L1 cache.
template <int bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, bool valid = true GRADUS_PTX_WHERE) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
#if defined(GRADUS_SIMT)
  simt::cp_async(shared, global, bytes, valid ? bytes : 0, where);
#else
  if constexpr (bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(valid ? 16 : 0)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(bytes),
                 "r"(valid ? bytes : 0)
                 : "memory");
  }
#endif
}
__device__ __forceinline__ void cp_async_commit() {
#if defined(GRADUS_SIMT)
  simt::cp_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until at most the `groups` youngest of this thread's groups are still under way.
template <int groups>
__device__ __forceinline__ void cp_async_wait(GRADUS_PTX_WHERE_ONLY) {
#if defined(GRADUS_SIMT)
  simt::cp_async_wait(groups, where);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}
__device__ __forceinline__ void cp_async_wait_all(GRADUS_PTX_WHERE_ONLY) {
#if defined(GRADUS_SIMT)
  simt::cp_async_wait(-1, where);
#else
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

}  // namespace gradus::ptx

#undef GRADUS_PTX_WHERE
#undef GRADUS_PTX_WHERE_ONLY
