#pragma once
// What matrix products and implicit-GEMM convolutions share: the source of their operands, and the two middle rungs,
// tiles in registers and plain tensor cores. The rung above them is cuda/gemm_pipeline.cuh.
//
// What is multiplied is said by a Source: y[m, n] = sum over k of a(m, k) b(k, n), k in [begin, end).
//
//   struct Source {
//     using Element = T;                             // in memory: float, double or bf16
//     std::int64_t m, n, begin, end;                 // sizes, and the depths of this block
//     __device__ void select(unsigned z);            // blockIdx.z: a matrix of the batch, a group, a part of the depth
//     bool a_along_depth, b_along_depth;             // neighbours in memory are neighbours in depth, or in m (n)
//     __device__ Row row(std::int64_t m) const;      // what does not change down the depth: computed once per thread
//     __device__ DepthA depth_a(std::int64_t k) const;
//     __device__ const T* a(const Row&, const DepthA&) const;     // where the element lies; null for a zero
//     __device__ Column column(std::int64_t n) const;
//     __device__ DepthB depth_b(std::int64_t k) const;
//     __device__ const T* b(const DepthB&, const Column&) const;  // the same
//     __device__ void store(std::int64_t m, std::int64_t n, Sum<T> value) const;   // inside only
//   };
//
// select() may make m and n smaller than they were when the grid was sized, for layers that differ.
//
// So index arithmetic (which pixel, which tap) is paid once for each row of a tile and once for each depth, not for
// each element.

#include <cstdint>

#include "cuda/convert.cuh"
#include "cuda/launch.cuh"
#include "cuda/ptx.cuh"
#include "cuda/reduce.cuh"
#include "cuda/runtime.hpp"

namespace gradus::cuda {

inline constexpr int kTileDepth = 16;

/// What elements of type T are added up in.
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// The element at p as its Sum; 0 where there is none.
template <class T>
__device__ inline Sum<T> value_at(const T* p) {
  return p ? device_convert<Sum<T>>(*p) : Sum<T>(0);
}

/// Four neighbours as floats; `from` is aligned to as much.
template <class T>
__device__ inline void load_four(const T* from, float (&v)[4]) {
  if constexpr (std::is_same_v<T, float>) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
  } else {
    const uint2 two = *reinterpret_cast<const uint2*>(from);
    v[0] = __uint_as_float(two.x << 16), v[1] = __uint_as_float(two.x & 0xffff0000u);
    v[2] = __uint_as_float(two.y << 16), v[3] = __uint_as_float(two.y & 0xffff0000u);
  }
}

/// Four neighbours of a row of results, written at once (`to` aligned to as much).
template <class T>
__device__ inline void store_four(T* to, const float (&v)[4]) {
  if constexpr (std::is_same_v<T, float>) {
    *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
  } else {
    static_assert(std::is_same_v<T, bf16>);
    const auto pair = [](float low, float high) {
      return static_cast<unsigned>(narrow_to_bf16(low).bits) | static_cast<unsigned>(narrow_to_bf16(high).bits) << 16;
    };
    *reinterpret_cast<uint2*>(to) = make_uint2(pair(v[0], v[1]), pair(v[2], v[3]));
  }
}

/// Element e of a tile of `kAcross` x kTileDepth, walked so that neighbouring threads read neighbouring memory.
template <int kAcross>
__device__ inline void tile_place(int e, bool along_depth, int* across, int* depth) {
  if (along_depth) {
    *depth = e % kTileDepth;
    *across = e / kTileDepth;
  } else {
    *across = e % kAcross;
    *depth = e / kAcross;
  }
}

// ---- registers: each thread computes a 4x4 patch, so an element read from shared memory is used four times
//
// Bound by FMA: 16 of them for 8 loads from shared memory.

/// The tile of a block is kM x kN; kM * kN = 4096, which makes 256 threads.
template <int kM, int kN>
struct RegisterTile {
  static constexpr int kThreads = 256;
  static constexpr int kThreadsAcross = kN / 4;
  static constexpr int kLoadsA = kM * kTileDepth / kThreads, kLoadsB = kN * kTileDepth / kThreads;
  static_assert(kM * kN == 16 * kThreads);
};

template <int kM, int kN, class Source>
__global__ void __launch_bounds__(256) gemm_registers_kernel(Source source) {
  using Tile = RegisterTile<kM, kN>;
  using T = Sum<typename Source::Element>;
  __shared__ T tile_a[kTileDepth][kM + 4];
  __shared__ T tile_b[kTileDepth][kN + 4];
  source.select(blockIdx.z);
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t m0 = static_cast<std::int64_t>(blockIdx.x) * kM, n0 = static_cast<std::int64_t>(blockIdx.y) * kN;
  if (m0 >= source.m) return;
  const int my_m = thread / Tile::kThreadsAcross * 4, my_n = thread % Tile::kThreadsAcross * 4;

  typename Source::Row rows[Tile::kLoadsA];
  typename Source::Column columns[Tile::kLoadsB];
#pragma unroll
  for (int i = 0; i < Tile::kLoadsA; ++i) {
    int across, depth;
    tile_place<kM>(thread + i * Tile::kThreads, source.a_along_depth, &across, &depth);
    rows[i] = source.row(m0 + across);
  }
#pragma unroll
  for (int i = 0; i < Tile::kLoadsB; ++i) {
    int across, depth;
    tile_place<kN>(thread + i * Tile::kThreads, source.b_along_depth, &across, &depth);
    columns[i] = source.column(n0 + across);
  }

  T sums[4][4] = {};
  for (std::int64_t k0 = source.begin; k0 < source.end; k0 += kTileDepth) {
#pragma unroll
    for (int i = 0; i < Tile::kLoadsA; ++i) {
      int across, depth;
      tile_place<kM>(thread + i * Tile::kThreads, source.a_along_depth, &across, &depth);
      tile_a[depth][across] = value_at(source.a(rows[i], source.depth_a(k0 + depth)));
    }
#pragma unroll
    for (int i = 0; i < Tile::kLoadsB; ++i) {
      int across, depth;
      tile_place<kN>(thread + i * Tile::kThreads, source.b_along_depth, &across, &depth);
      tile_b[depth][across] = value_at(source.b(source.depth_b(k0 + depth), columns[i]));
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kTileDepth; ++k) {
      T a[4], b[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) a[i] = tile_a[k][my_m + i];
#pragma unroll
      for (int j = 0; j < 4; ++j) b[j] = tile_b[k][my_n + j];
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] += a[i] * b[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const std::int64_t m = m0 + my_m + i, n = n0 + my_n + j;
      if (m < source.m && n < source.n) source.store(m, n, sums[i][j]);
    }
}

/// `layers` is the grid's z. Narrow results get tall tiles.
template <class Source>
void gemm_registers(const Source& source, std::int64_t layers) {
  const auto go = [&](auto kernel, std::int64_t tile_m, std::int64_t tile_n) {
    const dim3 grid(static_cast<unsigned>((source.m + tile_m - 1) / tile_m),
                    static_cast<unsigned>((source.n + tile_n - 1) / tile_n), static_cast<unsigned>(layers));
    launch(kernel, grid, dim3(256), 0, stream(), source);
  };
  if (source.n <= 16)
    go(gemm_registers_kernel<256, 16, Source>, 256, 16);
  else if (source.n <= 32)
    go(gemm_registers_kernel<128, 32, Source>, 128, 32);
  else
    go(gemm_registers_kernel<64, 64, Source>, 64, 64);
}

// ---- tensor cores: TF32 products, f32 sums, through mma.sync
//
// A warp computes 32x32 of the tile as 2x4 products of 16x8. Tiles lie [across][depth] in shared memory; rows of 20
// words put the eight rows and four depths that a fragment's lanes read into 32 different banks.

template <int kWarpsM, int kWarpsN, class Source>
__global__ void __launch_bounds__(32 * kWarpsM * kWarpsN) gemm_tensor_kernel(Source source) {
  constexpr int kThreads = 32 * kWarpsM * kWarpsN, kM = 32 * kWarpsM, kN = 32 * kWarpsN, kPitch = kTileDepth + 4;
  constexpr int kLoadsA = kM * kTileDepth / kThreads, kLoadsB = kN * kTileDepth / kThreads;
  __shared__ std::uint32_t tile_a[kM][kPitch];
  __shared__ std::uint32_t tile_b[kN][kPitch];
  source.select(blockIdx.z);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const std::int64_t m0 = static_cast<std::int64_t>(blockIdx.x) * kM, n0 = static_cast<std::int64_t>(blockIdx.y) * kN;
  if (m0 >= source.m) return;
  const int warp_m = warp / kWarpsN * 32, warp_n = warp % kWarpsN * 32;
  const int g = lane / 4, t = lane % 4;

  typename Source::Row rows[kLoadsA];
  typename Source::Column columns[kLoadsB];
#pragma unroll
  for (int i = 0; i < kLoadsA; ++i) {
    int across, depth;
    tile_place<kM>(thread + i * kThreads, source.a_along_depth, &across, &depth);
    rows[i] = source.row(m0 + across);
  }
#pragma unroll
  for (int i = 0; i < kLoadsB; ++i) {
    int across, depth;
    tile_place<kN>(thread + i * kThreads, source.b_along_depth, &across, &depth);
    columns[i] = source.column(n0 + across);
  }

  float sums[2][4][4] = {};
  for (std::int64_t k0 = source.begin; k0 < source.end; k0 += kTileDepth) {
#pragma unroll
    for (int i = 0; i < kLoadsA; ++i) {
      int across, depth;
      tile_place<kM>(thread + i * kThreads, source.a_along_depth, &across, &depth);
      tile_a[across][depth] = ptx::cvt_rna_tf32(value_at(source.a(rows[i], source.depth_a(k0 + depth))));
    }
#pragma unroll
    for (int i = 0; i < kLoadsB; ++i) {
      int across, depth;
      tile_place<kN>(thread + i * kThreads, source.b_along_depth, &across, &depth);
      tile_b[across][depth] = ptx::cvt_rna_tf32(value_at(source.b(source.depth_b(k0 + depth), columns[i])));
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kTileDepth; k += 8) {
      std::uint32_t a[2][4], b[4][2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int m = warp_m + 16 * i + g;
        a[i][0] = tile_a[m][k + t];
        a[i][1] = tile_a[m + 8][k + t];
        a[i][2] = tile_a[m][k + t + 4];
        a[i][3] = tile_a[m + 8][k + t + 4];
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int n = warp_n + 8 * j + g;
        b[j][0] = tile_b[n][k + t];
        b[j][1] = tile_b[n][k + t + 4];
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) ptx::mma_m16n8k8_tf32(sums[i][j], a[i], b[j]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const std::int64_t m = m0 + warp_m + 16 * i + g + e / 2 * 8, n = n0 + warp_n + 8 * j + 2 * t + e % 2;
        if (m < source.m && n < source.n) source.store(m, n, sums[i][j][e]);
      }
}

template <class Source>
void gemm_tensor(const Source& source, std::int64_t layers) {
  const auto go = [&](auto kernel, std::int64_t tile_m, std::int64_t tile_n) {
    const dim3 grid(static_cast<unsigned>((source.m + tile_m - 1) / tile_m),
                    static_cast<unsigned>((source.n + tile_n - 1) / tile_n), static_cast<unsigned>(layers));
    launch(kernel, grid, dim3(128), 0, stream(), source);
  };
  if (source.n <= 32)
    go(gemm_tensor_kernel<4, 1, Source>, 128, 32);
  else
    go(gemm_tensor_kernel<2, 2, Source>, 64, 64);
}

}  // namespace gradus::cuda
