#pragma once
// The upper rung of matrix products and implicit-GEMM convolutions before Hopper: a pipeline. While the tensor cores
// multiply one tile, the next three are on their way from memory.
//
//   cp.async     16 bytes at a time from global to shared memory, past the registers; zeros where there is nothing
//   4 stages     of 64 bytes of depth (32 bf16, 16 f32); one barrier a stage
//   swizzle      where 16 bytes lie in a stage is permuted so that neither copies nor fragments meet a bank conflict
//   ldmatrix     fragments of both operands; an operand that does not lie along the depth is transposed on the way
//   mma.sync     m16n8k16 in bf16, m16n8k8 in TF32, sums in f32; f32 also as three TF32 products
//
// Results go through shared memory once more, so that they are written in whole sectors.
//
// It takes a Source of cuda/gemm_tiles.cuh whose Element is bf16 or float, with three things more: a_along_depth and
// b_along_depth are constants; 16 bytes lie together in the direction they name, from every multiple of 16 bytes; and
//
//     __device__ void store_four(std::int64_t m, std::int64_t n, float (&values)[4]) const;   // n a multiple of 4
//
// writes four neighbours of a row, all inside, and may change `values` on the way.

#include <cstdint>

#include "cuda/gemm_tiles.cuh"

namespace gradus::cuda {

namespace pipeline {

inline constexpr int kThreads = 128, kStages = 4, kDepthBytes = 64;

/// A stage of one operand in shared memory: `across` rows (or columns) of the product, kDepthBytes deep.
template <class T, int kAcross, bool kAlongDepth>
struct Stage {
  static constexpr int kVector = 16 / static_cast<int>(sizeof(T));
  static constexpr int kDepth = kDepthBytes / static_cast<int>(sizeof(T));
  static constexpr int kBytes = kAcross * kDepthBytes;
  // As it lies: rows of 16-byte chunks, either one row for each `across` or one for each depth.
  static constexpr int kRowChunks = kAlongDepth ? kDepthBytes / 16 : kAcross / kVector;
  static constexpr int kCopies = kBytes / 16 / kThreads;  // of a thread
  static constexpr int kRowsApart = kThreads / kRowChunks;
  static_assert(kBytes % (16 * kThreads) == 0 && kThreads % kRowChunks == 0);

  /// Where chunk `chunk` of row `row` lies. Eight chunks fill the banks once. What is read together, and therefore must
  /// fall on eight different places: by ldmatrix the same chunk of eight neighbouring rows; of TF32 across, which
  /// ldmatrix cannot transpose, two neighbouring chunks of four rows.
  __device__ static int offset(int row, int chunk) {
    if constexpr (kRowChunks == 4)
      chunk ^= row >> 1 & 3;  // two rows to eight chunks
    else if constexpr (sizeof(T) == 4)
      chunk ^= (row & 3) << 1;
    else
      chunk ^= row & 7;
    return (row * kRowChunks + chunk) * 16;
  }
};

/// f32 numbers to TF32: rounded, and what rounding left, rounded too.
__device__ inline void split(std::uint32_t (&x)[4], std::uint32_t (&rest)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float whole = __uint_as_float(x[i]);
    x[i] = ptx::cvt_rna_tf32(whole);
    rest[i] = ptx::cvt_rna_tf32(whole - __uint_as_float(x[i]));
  }
}
__device__ inline void round(std::uint32_t (&x)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) x[i] = ptx::cvt_rna_tf32(__uint_as_float(x[i]));
}

/// sums += a b for two tiles of b, bf16 or TF32.
template <class T>
__device__ inline void multiply(float (&left)[4], float (&right)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[4]) {
  const std::uint32_t b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
  if constexpr (sizeof(T) == 2) {
    ptx::mma_m16n8k16_bf16(left, a, b0);
    ptx::mma_m16n8k16_bf16(right, a, b1);
  } else {
    ptx::mma_m16n8k8_tf32(left, a, b0);
    ptx::mma_m16n8k8_tf32(right, a, b1);
  }
}

/// The a of mma at rows m .. m + 15 of a stage, step kk of its depth (two steps a stage).
template <class T, class Stage, bool kAlongDepth>
__device__ inline void load_a(std::uint32_t (&a)[4], const char* stage, int m, int kk, int lane) {
  if constexpr (kAlongDepth) {
    ptx::ldmatrix_x4(a, stage + Stage::offset(m + lane % 16, 2 * kk + lane / 16));
  } else if constexpr (sizeof(T) == 2) {
    ptx::ldmatrix_x4_trans(
        a, stage + Stage::offset(16 * kk + lane % 8 + lane / 16 * 8, m / Stage::kVector + lane / 8 % 2));
  } else {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int across = m + g + i % 2 * 8, depth = 8 * kk + t + i / 2 * 4;
      a[i] = *reinterpret_cast<const std::uint32_t*>(stage + Stage::offset(depth, across / 4) + across % 4 * 4);
    }
  }
}

/// The b of two mma at columns n .. n + 15.
template <class T, class Stage, bool kAlongDepth>
__device__ inline void load_b(std::uint32_t (&b)[4], const char* stage, int n, int kk, int lane) {
  if constexpr (kAlongDepth) {
    ptx::ldmatrix_x4(b, stage + Stage::offset(n + lane % 8 + lane / 16 * 8, 2 * kk + lane / 8 % 2));
  } else if constexpr (sizeof(T) == 2) {
    ptx::ldmatrix_x4_trans(b, stage + Stage::offset(16 * kk + lane % 16, n / Stage::kVector + lane / 16));
  } else {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int across = n + g + i / 2 * 8, depth = 8 * kk + t + i % 2 * 4;
      b[i] = *reinterpret_cast<const std::uint32_t*>(stage + Stage::offset(depth, across / 4) + across % 4 * 4);
    }
  }
}

/// One thread's part in copying stages of one operand. `Fixed` is what it keeps for all depths: the rows of a (columns
/// of b) it copies where the operand lies along the depth, one row (column) where it lies across.
template <class Stage, bool kAlongDepth>
struct Place {
  static constexpr int kFixed = kAlongDepth ? Stage::kCopies : 1;
  int row, chunk;
  __device__ explicit Place(int thread) : row(thread / Stage::kRowChunks), chunk(thread % Stage::kRowChunks) {}
  __device__ int across(int i) const { return kAlongDepth ? row + i * Stage::kRowsApart : chunk * Stage::kVector; }
  __device__ int depth(int i) const { return kAlongDepth ? chunk * Stage::kVector : row + i * Stage::kRowsApart; }
  __device__ int offset(int i) const { return Stage::offset(row + i * Stage::kRowsApart, chunk); }
};

/// Dynamic shared memory of a block: the stages, or the results, which come after them.
template <int kM, int kN>
constexpr int shared_bytes() {
  constexpr int kStagesBytes = kStages * (kM + kN) * kDepthBytes, kResults = kM * (kN + 8) * 4;
  return kStagesBytes > kResults ? kStagesBytes : kResults;
}

}  // namespace pipeline

/// How f32 is multiplied: rounded to TF32, or as the sum of a rounded number and its rest, in three products (the
/// fourth is below f32's last bit): "3xTF32".
enum class Terms { one, three };

/// A block computes kM x kN, each of its four warps kWarpM x kWarpN.
template <int kM, int kN, int kWarpM, int kWarpN, Terms kTerms, class Source>
__global__ void __launch_bounds__(pipeline::kThreads, 2) gemm_pipeline_kernel(Source source) {
  using namespace pipeline;
  using T = typename Source::Element;
  constexpr bool kAlongA = Source::a_along_depth, kAlongB = Source::b_along_depth;
  using StageA = Stage<T, kM, kAlongA>;
  using StageB = Stage<T, kN, kAlongB>;
  using PlaceA = Place<StageA, kAlongA>;
  using PlaceB = Place<StageB, kAlongB>;
  static_assert(kM / kWarpM * (kN / kWarpN) * kWarp == kThreads && kWarpM % 16 == 0 && kWarpN % 16 == 0);
  constexpr int kDepth = StageA::kDepth, kStageBytes = StageA::kBytes + StageB::kBytes;
  char* const shared = dynamic_shared<char>();

  source.select(blockIdx.z);
  const std::int64_t m0 = static_cast<std::int64_t>(blockIdx.x) * kM, n0 = static_cast<std::int64_t>(blockIdx.y) * kN;
  if (m0 >= source.m) return;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const int warp_m = warp / (kN / kWarpN) * kWarpM, warp_n = warp % (kN / kWarpN) * kWarpN;

  const PlaceA place_a(thread);
  const PlaceB place_b(thread);
  typename Source::Row rows[PlaceA::kFixed];
  typename Source::Column columns[PlaceB::kFixed];
#pragma unroll
  for (int i = 0; i < PlaceA::kFixed; ++i) rows[i] = source.row(m0 + place_a.across(i));
#pragma unroll
  for (int i = 0; i < PlaceB::kFixed; ++i) columns[i] = source.column(n0 + place_b.across(i));

  const auto copy = [&](int stage, std::int64_t k0) {
    char* const to_a = shared + stage * kStageBytes;
    char* const to_b = to_a + StageA::kBytes;
    if constexpr (kAlongA) {
      const auto depth = source.depth_a(k0 + place_a.depth(0));
#pragma unroll
      for (int i = 0; i < StageA::kCopies; ++i) {
        const T* from = source.a(rows[i], depth);
        ptx::cp_async<16>(to_a + place_a.offset(i), from, from != nullptr);
      }
    } else {
#pragma unroll
      for (int i = 0; i < StageA::kCopies; ++i) {
        const T* from = source.a(rows[0], source.depth_a(k0 + place_a.depth(i)));
        ptx::cp_async<16>(to_a + place_a.offset(i), from, from != nullptr);
      }
    }
    if constexpr (kAlongB) {
      const auto depth = source.depth_b(k0 + place_b.depth(0));
#pragma unroll
      for (int i = 0; i < StageB::kCopies; ++i) {
        const T* from = source.b(depth, columns[i]);
        ptx::cp_async<16>(to_b + place_b.offset(i), from, from != nullptr);
      }
    } else {
#pragma unroll
      for (int i = 0; i < StageB::kCopies; ++i) {
        const T* from = source.b(source.depth_b(k0 + place_b.depth(i)), columns[0]);
        ptx::cp_async<16>(to_b + place_b.offset(i), from, from != nullptr);
      }
    }
  };

  float sums[kWarpM / 16][kWarpN / 8][4] = {};
  const int steps = static_cast<int>((source.end - source.begin + kDepth - 1) / kDepth);
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) copy(s, source.begin + s * kDepth);
    ptx::cp_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<kStages - 2>();
    __syncthreads();  // this stage has come for all, and all are done with the last one
    if (step + kStages - 1 < steps)
      copy((step + kStages - 1) % kStages, source.begin + static_cast<std::int64_t>(step + kStages - 1) * kDepth);
    ptx::cp_async_commit();
    const char* const stage_a = shared + step % kStages * kStageBytes;
    const char* const stage_b = stage_a + StageA::kBytes;
#pragma unroll
    for (int kk = 0; kk < 2; ++kk) {
      std::uint32_t a[kWarpM / 16][4], b[kWarpN / 16][4];
#pragma unroll
      for (int i = 0; i < kWarpM / 16; ++i) load_a<T, StageA, kAlongA>(a[i], stage_a, warp_m + 16 * i, kk, lane);
#pragma unroll
      for (int j = 0; j < kWarpN / 16; ++j) load_b<T, StageB, kAlongB>(b[j], stage_b, warp_n + 16 * j, kk, lane);
      if constexpr (kTerms == Terms::three) {
        std::uint32_t a_rest[kWarpM / 16][4], b_rest[kWarpN / 16][4];
#pragma unroll
        for (int i = 0; i < kWarpM / 16; ++i) split(a[i], a_rest[i]);
#pragma unroll
        for (int j = 0; j < kWarpN / 16; ++j) split(b[j], b_rest[j]);
#pragma unroll
        for (int i = 0; i < kWarpM / 16; ++i)
#pragma unroll
          for (int j = 0; j < kWarpN / 16; ++j) {  // the small ones first
            multiply<T>(sums[i][2 * j], sums[i][2 * j + 1], a_rest[i], b[j]);
            multiply<T>(sums[i][2 * j], sums[i][2 * j + 1], a[i], b_rest[j]);
          }
      } else if constexpr (sizeof(T) == 4) {
#pragma unroll
        for (int i = 0; i < kWarpM / 16; ++i) round(a[i]);
#pragma unroll
        for (int j = 0; j < kWarpN / 16; ++j) round(b[j]);
      }
#pragma unroll
      for (int i = 0; i < kWarpM / 16; ++i)
#pragma unroll
        for (int j = 0; j < kWarpN / 16; ++j) multiply<T>(sums[i][2 * j], sums[i][2 * j + 1], a[i], b[j]);
    }
  }
  ptx::cp_async_wait_all();
  __syncthreads();

  // Rows of kN + 8 words: the four rows that half a warp writes fall on different banks.
  float* const results = reinterpret_cast<float*>(shared);
  constexpr int kPitch = kN + 8;
#pragma unroll
  for (int i = 0; i < kWarpM / 16; ++i)
#pragma unroll
    for (int j = 0; j < kWarpN / 8; ++j)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int m = warp_m + 16 * i + lane / 4 + 8 * half, n = warp_n + 8 * j + lane % 4 * 2;
        *reinterpret_cast<float2*>(results + m * kPitch + n) =
            make_float2(sums[i][j][2 * half], sums[i][j][2 * half + 1]);
      }
  __syncthreads();
  for (int e = thread; e < kM * kN / 4; e += kThreads) {
    const int m = e / (kN / 4), n = e % (kN / 4) * 4;
    if (m0 + m >= source.m || n0 + n >= source.n) continue;
    const float4 four = *reinterpret_cast<const float4*>(results + m * kPitch + n);
    float values[4] = {four.x, four.y, four.z, four.w};
    source.store_four(m0 + m, n0 + n, values);
  }
}

/// `layers` is the grid's z. Large tiles where they fill the GPU, tall ones for narrow results (if kTall: a kernel less
/// to compile where results are never narrow). Three terms need the registers of a large tile for themselves.
template <bool kTall, Terms kTerms = Terms::one, class Source>
void gemm_pipeline(const Source& source, std::int64_t layers) {
  const auto blocks = [&](std::int64_t m, std::int64_t n) {
    return (source.m + m - 1) / m * ((source.n + n - 1) / n) * layers;
  };
  const auto go = [&](auto kernel, int m, int n, int bytes) {
    const dim3 grid(static_cast<unsigned>((source.m + m - 1) / m), static_cast<unsigned>((source.n + n - 1) / n),
                    static_cast<unsigned>(layers));
    launch(kernel, grid, dim3(pipeline::kThreads), static_cast<std::size_t>(bytes), stream(), source);
  };
  constexpr std::int64_t kFillsGpu = 256;  // two blocks for each of about 128 multiprocessors
  if constexpr (kTall)
    if (source.n <= 32)
      return go(gemm_pipeline_kernel<128, 32, 32, 32, kTerms, Source>, 128, 32, pipeline::shared_bytes<128, 32>());
  if constexpr (kTerms == Terms::one)
    if (source.n > 64 && source.m > 64 && blocks(128, 128) >= kFillsGpu)
      return go(gemm_pipeline_kernel<128, 128, 64, 64, kTerms, Source>, 128, 128, pipeline::shared_bytes<128, 128>());
  go(gemm_pipeline_kernel<64, 64, 32, 32, kTerms, Source>, 64, 64, pipeline::shared_bytes<64, 64>());
}

}  // namespace gradus::cuda
