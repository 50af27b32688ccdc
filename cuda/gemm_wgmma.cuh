#pragma once
// The top rung of matrix products and implicit-GEMM convolutions: Hopper's wgmma, fed by TMA.
//
// A block computes 128 x kN of the result. One warp, the producer, keeps a ring of stages filled: for each it waits
// until the stage is free, says how many bytes will come, and starts the copies; TMA places a row of 64 bf16 (128
// bytes) under the swizzle that wgmma reads without bank conflicts. Eight warps, two warpgroups of 64 rows, consume:
// they wait for a stage, multiply it in four steps of depth 16 straight from shared memory, and hand it back when the
// next one's products are under way. No thread touches an operand, so registers hold sums alone.
//
// Bound by the tensor cores: a stage is 128 kN 64 multiply-adds on (128 + kN) 128 bytes.
//
// What is multiplied is said by a Source:
//
//   struct Source {                                        // a kernel parameter that holds its tensor maps
//     static constexpr ptx::Major kMajorA, kMajorB;        // what its tiles have together: the depth, or m (n)
//     std::int64_t m, n;
//     int steps;                                           // of depth 64
//     __device__ void load_a(char* tile, ptx::Mbarrier*, int m0, int step) const;        // 128 of m, kTile bytes each
//     64 template <int kN> __device__ void load_b(char* tile, ptx::Mbarrier*, int n0, int step) const;
//     __device__ void store(std::int64_t m, std::int64_t n, float first, float second) const;  // at n and n + 1;
//     inside
//   };                                                     // but for n + 1, which may be beyond the end
//
// Tiles along the depth lie [m][64]; tiles across it as columns of 64 m, each [64 depths][64]. blockIdx.z is the
// source's own: a matrix of the batch, a group, a part of the depth.

#include <cstdint>

#include "cuda/launch.cuh"
#include "cuda/ptx_sm90.cuh"
#include "cuda/runtime.hpp"
#include "cuda/tensor_map.hpp"

namespace gradus::cuda {

namespace wgmma {

constexpr int kM = 128, kDepth = 64, kStages = 4;
constexpr int kTile = 64 * kDepth * 2;  // bytes of 64 rows (columns) of a stage
constexpr int kConsumerWarps = 8, kThreads = 32 * (kConsumerWarps + 1);

template <int kN>
constexpr int kStageBytes = (kM + kN) / 64 * kTile;
/// Stages, then two barriers for each.
template <int kN>
constexpr int kSharedBytes = kStages* kStageBytes<kN> + 2 * kStages* static_cast<int>(sizeof(ptx::Mbarrier));

/// The descriptor of depths k to k + 15 of a tile.
template <ptx::Major major>
__device__ __forceinline__ std::uint64_t operand(const char* tile, int k) {
  if constexpr (major == ptx::Major::depth) return ptx::wgmma_descriptor(tile + 2 * k, 16, 1024, 128);
  return ptx::wgmma_descriptor(tile + 128 * k, kTile, 1024, 128);
}

}  // namespace wgmma

template <int kN, class Source>
__global__ void __launch_bounds__(wgmma::kThreads) gemm_wgmma_kernel(const __grid_constant__ Source source) {
  using namespace wgmma;
  char* stages = dynamic_shared<char>();
  auto* full = reinterpret_cast<ptx::Mbarrier*>(stages + kStages * kStageBytes<kN>);
  ptx::Mbarrier* empty = full + kStages;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int m0 = static_cast<int>(blockIdx.x) * kM, n0 = static_cast<int>(blockIdx.y) * kN;
  if (thread == 0) {
    for (int s = 0; s < kStages; ++s) {
      ptx::mbarrier_init(&full[s], 1);
      ptx::mbarrier_init(&empty[s], kConsumerWarps);
    }
    ptx::fence_mbarrier_init();
  }
  __syncthreads();

  if (warp == kConsumerWarps) {  // the producer
    if (lane != 0) return;
    for (int step = 0; step < source.steps; ++step) {
      const int s = step % kStages;
      const unsigned round = static_cast<unsigned>(step / kStages) & 1u;
      char* tile = stages + s * kStageBytes<kN>;
      ptx::mbarrier_wait(&empty[s], round ^ 1u);
      ptx::mbarrier_arrive_expect(&full[s], kStageBytes<kN>);
      source.load_a(tile, &full[s], m0, step);
      source.template load_b<kN>(tile + kM / 64 * kTile, &full[s], n0, step);
    }
    return;
  }

  float sums[kN / 2];
  for (int step = 0; step < source.steps; ++step) {
    const int s = step % kStages;
    const char* tile_a = stages + s * kStageBytes<kN> + warp / 4 * kTile;
    const char* tile_b = stages + s * kStageBytes<kN> + kM / 64 * kTile;
    ptx::mbarrier_wait(&full[s], static_cast<unsigned>(step / kStages) & 1u);
    ptx::wgmma_fence();
#pragma unroll
    for (int k = 0; k < kDepth; k += 16)
      ptx::wgmma_bf16<kN, Source::kMajorA, Source::kMajorB>(sums, operand<Source::kMajorA>(tile_a, k),
                                                            operand<Source::kMajorB>(tile_b, k), step + k > 0);
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();  // the stage before has been read
    if (step > 0 && lane == 0) ptx::mbarrier_arrive(&empty[(step - 1) % kStages]);
  }
  ptx::wgmma_wait<0>();

#pragma unroll
  for (int i = 0; i < kN / 2; i += 2) {
    const std::int64_t m = m0 + 16 * warp + lane / 4 + i / 2 % 2 * 8, n = n0 + i / 4 * 8 + lane % 4 * 2;
    if (m < source.m && n < source.n) source.store(m, n, sums[i], sums[i + 1]);
  }
}

/// `layers` is the grid's z.
template <class Source>
void gemm_wgmma(const Source& source, std::int64_t layers) {
  using namespace wgmma;
  const auto go = [&](auto kernel, std::int64_t tile_n, int shared_bytes) {
    const dim3 grid(static_cast<unsigned>((source.m + kM - 1) / kM),
                    static_cast<unsigned>((source.n + tile_n - 1) / tile_n), static_cast<unsigned>(layers));
    launch(kernel, grid, dim3(kThreads), static_cast<std::size_t>(shared_bytes), stream(), source);
  };
  if (source.n <= 64)
    go(gemm_wgmma_kernel<64, Source>, 64, kSharedBytes<64>);
  else
    go(gemm_wgmma_kernel<128, Source>, 128, kSharedBytes<128>);
}

/// Writes `first` and `second` as bf16 at row[n] and row[n + 1], of which the second is left out beyond `end`.
__device__ __forceinline__ void store_pair(__nv_bfloat16* row, std::int64_t n, std::int64_t end, float first,
                                           float second) {
  if (n + 1 < end && (reinterpret_cast<std::uintptr_t>(row + n) & 3u) == 0) {
    *reinterpret_cast<__nv_bfloat162*>(row + n) = __floats2bfloat162_rn(first, second);
    return;
  }
  row[n] = __float2bfloat16(first);
  if (n + 1 < end) row[n + 1] = __float2bfloat16(second);
}

}  // namespace gradus::cuda
