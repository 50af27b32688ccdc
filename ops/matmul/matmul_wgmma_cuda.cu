// Matrix products in bf16 on Hopper: the pipeline of cuda/gemm_wgmma.cuh, its tiles brought by TMA as they lie,
// whichever way round either operand is stored.

#include "core/shape.hpp"
#include "cuda/gemm_wgmma.cuh"
#include "ops/matmul/matmul_wgmma.hpp"

namespace gradus::cuda {
namespace {

using ptx::Major;

/// An operand [across, depth], and its batch.
struct Operand {
  const void* data;
  std::int64_t across, depth, across_stride, depth_stride, batch_stride;
};

bool has_stride(std::int64_t one, std::int64_t other) { return one == 1 && other % 8 == 0 && other > 0; }

/// TMA reads it: neighbours along one of its sides, the other in steps of 16 bytes.
bool tma_reads(const Operand& o) {
  const bool along = has_stride(o.depth_stride, o.across_stride),
             crosswise = has_stride(o.across_stride, o.depth_stride);
  return (along || crosswise) && o.batch_stride % 8 == 0 && reinterpret_cast<std::uintptr_t>(o.data) % 16 == 0 &&
         o.across <= 0x7fffffff && o.depth <= 0x7fffffff;
}
Major major_of(const Operand& o) { return has_stride(o.depth_stride, o.across_stride) ? Major::depth : Major::across; }

Operand operand_a(const MatmulProblem& p) {
  return {p.a, p.m, p.k, p.a_row, p.a_column, p.batch.empty() ? 0 : p.a_batch[0]};
}
Operand operand_b(const MatmulProblem& p) {
  return {p.b, p.n, p.k, p.b_column, p.b_row, p.batch.empty() ? 0 : p.b_batch[0]};
}

/// Boxes of 64 across x 64 depths, `rows` of 64 across at once where the depth lies together.
CUtensorMap map_of(const Operand& o, std::int64_t layers, int rows) {
  const std::int64_t stride = major_of(o) == Major::depth ? o.across_stride : o.depth_stride;
  const std::int64_t layer = layers > 1 ? o.batch_stride : stride * 8;  // of one layer: never taken
  if (major_of(o) == Major::depth)
    return tiled_map(DType::bf16, o.data, {o.depth, o.across, layers}, {stride, layer}, {64, rows, 1}, 128);
  return tiled_map(DType::bf16, o.data, {o.across, o.depth, layers}, {stride, layer}, {64, 64, 1}, 128);
}

template <Major major_a, Major major_b>
struct MatmulSource {
  static constexpr Major kMajorA = major_a, kMajorB = major_b;
  CUtensorMap a_map, b_map;
  std::int64_t m, n, y_layer;
  int steps;
  const __nv_bfloat16* bias;
  __nv_bfloat16* y;

  /// kRows of one side to `tile`.
  template <Major major, int kRows>
  static __device__ void load(char* tile, const CUtensorMap* map, ptx::Mbarrier* full, int first, int step) {
    const int depth = step * wgmma::kDepth, layer = static_cast<int>(blockIdx.z);
    if constexpr (major == Major::depth) {
      ptx::tma_load_3d(tile, map, full, depth, first, layer);
    } else {
#pragma unroll
      for (int i = 0; i < kRows; i += 64)
        ptx::tma_load_3d(tile + i / 64 * wgmma::kTile, map, full, first + i, depth, layer);
    }
  }
  __device__ void load_a(char* tile, ptx::Mbarrier* full, int m0, int step) const {
    load<major_a, wgmma::kM>(tile, &a_map, full, m0, step);
  }
  template <int kN>
  __device__ void load_b(char* tile, ptx::Mbarrier* full, int n0, int step) const {
    load<major_b, kN>(tile, &b_map, full, n0, step);
  }
  __device__ void store(std::int64_t row, std::int64_t column, float first, float second) const {
    if (bias) {
      first += __bfloat162float(bias[column]);
      if (column + 1 < n) second += __bfloat162float(bias[column + 1]);
    }
    store_pair(y + blockIdx.z * y_layer + row * n, column, n, first, second);
  }
};

template <Major major_a, Major major_b>
void run(const MatmulProblem& p) {
  const std::int64_t layers = p.batch.empty() ? 1 : p.batch[0];
  MatmulSource<major_a, major_b> source;
  source.a_map = map_of(operand_a(p), layers, wgmma::kM);
  source.b_map = map_of(operand_b(p), layers, p.n <= 64 ? 64 : 128);
  source.m = p.m, source.n = p.n, source.y_layer = p.m * p.n;
  source.steps = static_cast<int>((p.k + wgmma::kDepth - 1) / wgmma::kDepth);
  source.bias = static_cast<const __nv_bfloat16*>(p.bias);
  source.y = static_cast<__nv_bfloat16*>(p.y);
  gemm_wgmma(source, layers);
}

}  // namespace

bool takes_wgmma(const MatmulProblem& p) {
  return p.dtype == DType::bf16 && p.m > 0 && p.n > 0 && p.k > 0 && p.batch.size() <= 1 && tma_reads(operand_a(p)) &&
         tma_reads(operand_b(p)) && p.n <= 64 * 65535 &&
         (p.batch.empty() || (p.batch[0] > 0 && p.batch[0] <= 65535 && p.y_batch[0] == p.m * p.n &&
                              (p.batch[0] == 1 || (p.a_batch[0] > 0 && p.b_batch[0] > 0)))) &&
         hopper_kernels();
}

void matmul_wgmma(const MatmulProblem& p) {
  const bool along_a = major_of(operand_a(p)) == Major::depth, along_b = major_of(operand_b(p)) == Major::depth;
  if (along_a)
    along_b ? run<Major::depth, Major::depth>(p) : run<Major::depth, Major::across>(p);
  else
    along_b ? run<Major::across, Major::depth>(p) : run<Major::across, Major::across>(p);
}

}  // namespace gradus::cuda
