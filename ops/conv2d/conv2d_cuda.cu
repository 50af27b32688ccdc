// conv2d on CUDA: the rungs of the three ladders, best first. One idea each:
//
//   gemm_1x1       1x1 windows of stride 1 are a matrix product as they lie: cuBLAS
//   groups         groups of up to 16 channels (8 where tensor cores may be used) and depthwise: four channels of four
//                  pixels to a thread, weights in shared memory. Bound by memory, for groups above 4 by FMA. f32 and
//                  bf16
//   wgmma          implicit GEMM on Hopper's tensor cores, whose windows TMA gathers into shared memory: no thread
//                  touches an operand. Bound by the tensor cores. bf16
//   pipeline       implicit GEMM on tensor cores, operands on their way while others are multiplied. Bound by the
//   tensor
//                  cores. bf16, and f32 where TF32 is allowed
//   tensor         implicit GEMM on tensor cores, element by element through registers: for channels that do not come
//   in
//                  multiples of 16 bytes, such as the three of a first layer. Bound by gathering
//   winograd_f4x4  3x3 of stride 1 with a quarter of the multiplications, in three passes over memory and cuBLAS. Bound
//                  by memory, FMA from some 256 channels on. f32 where TF32 is not allowed
//   winograd_f2x2  the same with smaller tiles, 1/2.25 of the multiplications: a tenth of the rounding error
//   implicit_gemm  the matrix product with tiles in registers (cuda/gemm_tiles.cuh); windows are never stored, their
//                  places in x are computed on the way. Bound by FMA: what exact f32 and f64 get
//   direct         one thread for each result, in its own type: what nobody else takes, as groups of two or three
//   channels.
//                  Bound by its loads
//   pipeline_3xtf32
//                  the pipeline with each f32 as the sum of two TF32 numbers, three products for one. Bound by the
//                  tensor cores at a third of their TF32 rate, some 2.5 times FMA on an H100. The products are exact to
//                  about 22 bits, but tensor cores truncate their sums: not FMA's accuracy, so it runs only where it is
//                  asked for by name (direct, which takes everything, stands before it)
//   naive          direct in f64: the definition, read this first (conv2d_plain_cuda.cu). Bound by its loads
//
// A rung that needs TF32 is passed over unless it is allowed (cuda::allow_tf32), so that f32 is exact by default.

#include "ops/conv2d/conv2d_rungs.cuh"

namespace gradus::cuda {
namespace {

constexpr const char* kPointwiseIdea = "1x1 windows are a matrix product as they lie: cuBLAS";
constexpr const char* kGroupsIdea = "four channels of four pixels to a thread, for narrow groups; bound by memory";
constexpr const char* kWinogradIdea = "transforms and a batched matrix product, for 3x3 in f32; bound by memory";
constexpr const char* kWgmmaIdea =
    "implicit GEMM by wgmma, its windows gathered by TMA, in bf16; bound by tensor cores";
constexpr const char* kPipelineIdea =
    "implicit GEMM through cp.async, ldmatrix and mma.sync, in bf16 or TF32 (if allowed); bound by tensor cores";
constexpr const char* k3xTf32Idea = "the pipeline with each f32 as two TF32 numbers; bound by tensor cores, at a third";
constexpr const char* kTensorIdea = "implicit GEMM on tensor cores, in bf16 or TF32 (if allowed); bound by gathering";
constexpr const char* kGemmIdea = "implicit GEMM, 4x4 results to a thread; bound by FMA";
constexpr const char* kDirectIdea = "a thread for each result, for what no other rung takes; bound by its loads";
constexpr const char* kNaiveIdea = "the definition, in f64";

template <class Problem>
Candidates<Problem> ladder(const char* kernel) {
  return {kernel,
          {{"gemm_1x1", kPointwiseIdea, takes_gemm_1x1, run_gemm_1x1},
           {"groups", kGroupsIdea, takes_groups, run_groups},
           {"wgmma", kWgmmaIdea, takes_wgmma, run_wgmma},
           {"pipeline", kPipelineIdea, takes_pipeline, run_pipeline},
           {"tensor", kTensorIdea, takes_tensor, run_tensor},
           {"winograd_f4x4", kWinogradIdea, takes_winograd_f4x4, run_winograd_f4x4},
           {"winograd_f2x2", kWinogradIdea, takes_winograd_f2x2, run_winograd_f2x2},
           {"implicit_gemm", kGemmIdea, takes_implicit_gemm, run_implicit_gemm},
           {"direct", kDirectIdea, takes_direct, run_direct},
           {"pipeline_3xtf32", k3xTf32Idea, takes_pipeline_3xtf32, run_pipeline_3xtf32},
           {"naive", kNaiveIdea, takes_naive, run_naive}}};
}

}  // namespace

const Candidates<ConvForward>& conv2d_forward() {
  static const auto list = ladder<ConvForward>("conv2d.forward");
  return list;
}
const Candidates<ConvBackwardInput>& conv2d_backward_input() {
  static const auto list = ladder<ConvBackwardInput>("conv2d.backward_input");
  return list;
}
const Candidates<ConvBackwardWeight>& conv2d_backward_weight() {
  static const auto list = ladder<ConvBackwardWeight>("conv2d.backward_weight");
  return list;
}

}  // namespace gradus::cuda
