#pragma once
// The PTX instructions of Hopper (sm_90a) that our kernels use: mbarriers, TMA, wgmma. As in cuda/ptx.cuh each is one
// function, and beside it stands what it means to the emulator.
//
// In a build for several architectures the other ones get a trap: the host asks hopper_kernels() (cuda/tensor_map.hpp)
// before it launches a kernel that uses these.
//
// How the pieces fit. A producer tells an mbarrier how many bytes to expect and starts TMA copies that count them off;
// consumers wait for the barrier's phase and multiply what has come, with four warps (a warpgroup) at a time; then they
// arrive at a second barrier, whose phase tells the producer that the place is free. Phases alternate in parity;
// waiting for the parity before the first one (1) returns at once.

#include <cstdint>

#include "cuda/device_code.cuh"

#if defined(GRADUS_SIMT)
#include "cuda/simt/mbarrier.hpp"
#include "cuda/simt/wgmma.hpp"
#define GRADUS_PTX_WHERE , const simt::Where& where = simt::Where::current()
#define GRADUS_PTX_WHERE_ONLY const simt::Where& where = simt::Where::current()
#define GRADUS_SM90A(emulated, ...) emulated
#else
#include <cuda.h>
#define GRADUS_PTX_WHERE
#define GRADUS_PTX_WHERE_ONLY
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GRADUS_SM90A(emulated, ...) asm volatile(__VA_ARGS__)
#else
#define GRADUS_SM90A(emulated, ...) __trap()
#endif
#endif

namespace gradus::ptx {

/// The 32-bit address of shared memory that PTX takes; in emulation only descriptors do.
__device__ __forceinline__ std::uint32_t shared_window(const void* p GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  return simt::shared_offset(p, where);
#else
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
#endif
}

// ---- mbarrier: eight bytes of shared memory. A phase ends when `count` arrivals and all expected bytes have come ----

using Mbarrier = std::uint64_t;

/// By one thread; then fence_mbarrier_init(), and a block barrier before others use it.
__device__ __forceinline__ void mbarrier_init(Mbarrier* barrier, unsigned count GRADUS_PTX_WHERE) {
  GRADUS_SM90A(simt::mbarrier_init(barrier, count, where),
               "mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_window(barrier)), "r"(count)
               : "memory");
}
/// Its memory may be used for something else.
__device__ __forceinline__ void mbarrier_invalidate(Mbarrier* barrier GRADUS_PTX_WHERE) {
  GRADUS_SM90A(simt::mbarrier_invalidate(barrier, where),
               "mbarrier.inval.shared::cta.b64 [%0];" ::"r"(shared_window(barrier))
               : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(Mbarrier* barrier GRADUS_PTX_WHERE) {
  GRADUS_SM90A(simt::mbarrier_arrive(barrier, where),
               "mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_window(barrier))
               : "memory");
}
/// Expects `bytes` more in this phase, then arrives.
__device__ __forceinline__ void mbarrier_arrive_expect(Mbarrier* barrier, unsigned bytes GRADUS_PTX_WHERE) {
  GRADUS_SM90A((simt::mbarrier_expect(barrier, bytes, where), simt::mbarrier_arrive(barrier, where)),
               "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_window(barrier)), "r"(bytes)
               : "memory");
}
/// Has the phase of this parity ended? Waits a while for it; in emulation until it has.
__device__ __forceinline__ bool mbarrier_try_wait(Mbarrier* barrier, unsigned parity GRADUS_PTX_WHERE) {
  [[maybe_unused]] std::uint32_t done = 1;
  GRADUS_SM90A(simt::mbarrier_wait(barrier, parity, where),
               "{\n"
               "  .reg .pred p;\n"
               "  mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
               "  selp.u32 %0, 1, 0, p;\n"
               "}"
               : "=r"(done)
               : "r"(shared_window(barrier)), "r"(parity)
               : "memory");
  return done != 0;
}
__device__ __forceinline__ void mbarrier_wait(Mbarrier* barrier, unsigned parity GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  simt::mbarrier_wait(barrier, parity, where);
#else
  while (!mbarrier_try_wait(barrier, parity)) {
  }
#endif
}
/// Lets TMA see the barriers this thread has initialised.
__device__ __forceinline__ void fence_mbarrier_init() {
  GRADUS_SM90A(simt::fence_mbarrier_init(), "fence.mbarrier_init.release.cluster;" ::: "memory");
}
/// Lets TMA and wgmma see what this thread has written to shared memory.
__device__ __forceinline__ void fence_proxy_async() {
  GRADUS_SM90A(simt::fence_proxy_async(), "fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- TMA: copies of boxes of tensors into shared memory, by maps made on the host (cuda/tensor_map.hpp) ----
// One thread starts a copy; the barrier's phase counts its bytes (the whole box's, zeros outside the tensor included).
// `to` is aligned to 128 bytes, of a 128-byte swizzle to 1024. Coordinates begin with the dimension that is contiguous.

/// Fetches the map itself.
__device__ __forceinline__ void prefetch_map(const CUtensorMap* map) {
  GRADUS_SM90A((void)map, "prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
__device__ __forceinline__ void tma_load_2d(void* to, const CUtensorMap* map, Mbarrier* barrier, int x,
                                            int y GRADUS_PTX_WHERE) {
  GRADUS_SM90A(simt::tensor_copy(to, map, barrier, {x, y}, 2, nullptr, where),
               "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], "
               "[%2];" ::"r"(shared_window(to)),
               "l"(map), "r"(shared_window(barrier)), "r"(x), "r"(y)
               : "memory");
}
__device__ __forceinline__ void tma_load_3d(void* to, const CUtensorMap* map, Mbarrier* barrier, int x, int y,
                                            int z GRADUS_PTX_WHERE) {
  GRADUS_SM90A(simt::tensor_copy(to, map, barrier, {x, y, z}, 3, nullptr, where),
               "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, "
               "%5}], [%2];" ::"r"(shared_window(to)),
               "l"(map), "r"(shared_window(barrier)), "r"(x), "r"(y), "r"(z)
               : "memory");
}
__device__ __forceinline__ void tma_load_4d(void* to, const CUtensorMap* map, Mbarrier* barrier, int x, int y, int z,
                                            int w GRADUS_PTX_WHERE) {
  GRADUS_SM90A(simt::tensor_copy(to, map, barrier, {x, y, z, w}, 4, nullptr, where),
               "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, "
               "%5, %6}], [%2];" ::"r"(shared_window(to)),
               "l"(map), "r"(shared_window(barrier)), "r"(x), "r"(y), "r"(z), "r"(w)
               : "memory");
}
/// Of pictures [N, H, W, C]: the channels from c on of the pixels from window corner (n, h, w) on, at tap (tap_h,
/// tap_w).
__device__ __forceinline__ void tma_load_im2col(void* to, const CUtensorMap* map, Mbarrier* barrier, int c, int w,
                                                int h, int n, int tap_w, int tap_h GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  const int tap[2] = {tap_w, tap_h};
#endif
  GRADUS_SM90A(simt::tensor_copy(to, map, barrier, {c, w, h, n}, 4, tap, where),
               "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, "
               "%5, %6}], [%2], {%7, %8};" ::"r"(shared_window(to)),
               "l"(map), "r"(shared_window(barrier)), "r"(c), "r"(w), "r"(h), "r"(n),
               "h"(static_cast<unsigned short>(tap_w)), "h"(static_cast<unsigned short>(tap_h))
               : "memory");
}

// ---- wgmma: d [64, n] += a [64, depth] b [depth, n], operands in shared memory, by four warps together ----
// Warp w of the four holds rows 16 w to 16 w + 15: with g = lane / 4, t = lane % 4, d[4 j], d[4 j + 1] = (g, 8 j + 2
// t), (g, 8 j + 2 t + 1); d[4 j + 2], d[4 j + 3] the same of row g + 8. The instruction returns at once: d may not be
// touched, nor the operands written, before the wait for its group.

/// Where an operand lies. `swizzle` is 128, 64, 32 or 0 bytes; leading and stride are bytes, multiples of 16.
///   along the depth, swizzled    rows of `swizzle` bytes; `stride` from eight rows to the next eight. A step along the
///                                depth is an offset of `p` within the row
///   along m (n), swizzled        depths of `swizzle` bytes; `stride` from eight depths to the next eight, `leading`
///   from
///                                one such column of tiles to the next
///   along the depth, plain       tiles of 8 rows x 16 bytes; `leading` between them along the depth, `stride` along m
///   (n)
__device__ __forceinline__ std::uint64_t wgmma_descriptor(const void* p, unsigned leading, unsigned stride,
                                                          unsigned swizzle GRADUS_PTX_WHERE) {
#if defined(GRADUS_SIMT)
  const std::uint32_t address = shared_window(p, where);
#else
  const std::uint32_t address = shared_window(p);
#endif
  const std::uint64_t mode = swizzle == 128 ? 1 : swizzle == 64 ? 2 : swizzle == 32 ? 3 : 0;
  return static_cast<std::uint64_t>((address & 0x3ffffu) >> 4) | static_cast<std::uint64_t>(leading >> 4) << 16 |
         static_cast<std::uint64_t>(stride >> 4) << 32 | mode << 62;
}

/// Before the first wgmma, and between a thread's own accesses to accumulators and the next.
__device__ __forceinline__ void wgmma_fence(GRADUS_PTX_WHERE_ONLY) {
  GRADUS_SM90A(simt::wgmma_fence(where), "wgmma.fence.sync.aligned;" ::: "memory");
}
/// What has been issued since the last commit becomes a group.
__device__ __forceinline__ void wgmma_commit(GRADUS_PTX_WHERE_ONLY) {
  GRADUS_SM90A(simt::wgmma_commit(where), "wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most the `groups` youngest are still under way.
template <int groups>
__device__ __forceinline__ void wgmma_wait(GRADUS_PTX_WHERE_ONLY) {
  GRADUS_SM90A(simt::wgmma_wait(groups, where), "wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
}

/// What lies together in memory: elements along the depth, or along m (n).
enum class Major : int { depth = 0, across = 1 };

// clang-format off
#define GRADUS_D4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define GRADUS_D16(i) GRADUS_D4(i), GRADUS_D4((i) + 4), GRADUS_D4((i) + 8), GRADUS_D4((i) + 12)
#define GRADUS_D32 GRADUS_D16(0), GRADUS_D16(16)
#define GRADUS_D64 GRADUS_D32, GRADUS_D16(32), GRADUS_D16(48)
#define GRADUS_D128 GRADUS_D64, GRADUS_D16(64), GRADUS_D16(80), GRADUS_D16(96), GRADUS_D16(112)
#define GRADUS_TEXT32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define GRADUS_TEXT64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GRADUS_TEXT128 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
// `form` is the instruction's shape and types, %a %b its descriptors, %p whether to add to d; `flags` what follows.
#define GRADUS_WGMMA(form, text, a, b, p, flags) \
  "{\n  .reg .pred p;\n  setp.ne.b32 p, %" p ", 0;\n  wgmma.mma_async.sync.aligned." form " {" text "}, %" a ", %" b ", p, " flags ";\n}"
// clang-format on

/// n 64, 128 or 256; depth 16, elements bf16. `accumulate` false: d = a b.
template <int n, Major major_a = Major::depth, Major major_b = Major::depth>
__device__ __forceinline__ void wgmma_bf16(float (&d)[n / 2], std::uint64_t a, std::uint64_t b,
                                           bool accumulate = true GRADUS_PTX_WHERE) {
  static_assert(n == 64 || n == 128 || n == 256);
#if defined(GRADUS_SIMT)
  simt::wgmma({simt::WgmmaKind::bf16, n, accumulate, major_a == Major::across, major_b == Major::across, a, b}, d,
              where);
#else
  if constexpr (n == 64) {
    GRADUS_SM90A(, GRADUS_WGMMA("m64n64k16.f32.bf16.bf16", GRADUS_TEXT32, "32", "33", "34", "1, 1, %35, %36")
                 : GRADUS_D32
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(major_a)),
                   "n"(static_cast<int>(major_b)));
  } else if constexpr (n == 128) {
    GRADUS_SM90A(, GRADUS_WGMMA("m64n128k16.f32.bf16.bf16", GRADUS_TEXT64, "64", "65", "66", "1, 1, %67, %68")
                 : GRADUS_D64
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(major_a)),
                   "n"(static_cast<int>(major_b)));
  } else {
    GRADUS_SM90A(, GRADUS_WGMMA("m64n256k16.f32.bf16.bf16", GRADUS_TEXT128, "128", "129", "130", "1, 1, %131, %132")
                 : GRADUS_D128
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(major_a)),
                   "n"(static_cast<int>(major_b)));
  }
#endif
}
/// The same for f32 of which TF32 is taken: depth 8, both operands along the depth.
template <int n>
__device__ __forceinline__ void wgmma_tf32(float (&d)[n / 2], std::uint64_t a, std::uint64_t b,
                                           bool accumulate = true GRADUS_PTX_WHERE) {
  static_assert(n == 64 || n == 128);
#if defined(GRADUS_SIMT)
  simt::wgmma({simt::WgmmaKind::tf32, n, accumulate, false, false, a, b}, d, where);
#else
  if constexpr (n == 64) {
    GRADUS_SM90A(, GRADUS_WGMMA("m64n64k8.f32.tf32.tf32", GRADUS_TEXT32, "32", "33", "34", "1, 1")
                 : GRADUS_D32
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));
  } else {
    GRADUS_SM90A(, GRADUS_WGMMA("m64n128k8.f32.tf32.tf32", GRADUS_TEXT64, "64", "65", "66", "1, 1")
                 : GRADUS_D64
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));
  }
#endif
}

}  // namespace gradus::ptx

#undef GRADUS_D4
#undef GRADUS_D16
#undef GRADUS_D32
#undef GRADUS_D64
#undef GRADUS_D128
#undef GRADUS_TEXT32
#undef GRADUS_TEXT64
#undef GRADUS_TEXT128
#undef GRADUS_WGMMA
#undef GRADUS_SM90A
#undef GRADUS_PTX_WHERE
#undef GRADUS_PTX_WHERE_ONLY
