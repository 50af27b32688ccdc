#pragma once
// The rungs of conv2d on CUDA, which conv2d_cuda.cu puts in order. takes_… says which problems a rung supports. All
// work on f32, f64 and bf16 unless they say otherwise; bf16 is added up in f32 and rounded once.

#include "cuda/runtime.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"

namespace gradus::cuda {

#define GRADUS_CONV_RUNG(rung)                  \
  bool takes_##rung(const ConvForward&);        \
  bool takes_##rung(const ConvBackwardInput&);  \
  bool takes_##rung(const ConvBackwardWeight&); \
  void run_##rung(const ConvForward&);          \
  void run_##rung(const ConvBackwardInput&);    \
  void run_##rung(const ConvBackwardWeight&)

// conv2d_plain_cuda.cu: every problem
GRADUS_CONV_RUNG(naive);
GRADUS_CONV_RUNG(direct);
// conv2d_gemm_cuda.cu
GRADUS_CONV_RUNG(gemm_1x1);       // 1x1 of stride 1, one group
GRADUS_CONV_RUNG(implicit_gemm);  // groups wide enough to fill a good part of a tile
GRADUS_CONV_RUNG(tensor);         // the same; bf16, and f32 where TF32 is allowed
// conv2d_pipeline_cuda.cu
GRADUS_CONV_RUNG(pipeline_3xtf32);  // f32; the same channels
GRADUS_CONV_RUNG(pipeline);         // bf16, and f32 where TF32 is allowed; channels of a group in multiples of 16 bytes
// conv2d_wgmma_cuda.cu
GRADUS_CONV_RUNG(wgmma);  // bf16 on Hopper; windows alike along h and w, channels in multiples of 8; gx of stride 1
// conv2d_winograd_cuda.cu: f32 where TF32 is not allowed; 3x3 of stride 1, one group, from 32 channels and 256 pixels
// on
GRADUS_CONV_RUNG(winograd_f2x2);
GRADUS_CONV_RUNG(winograd_f4x4);
// conv2d_groups_cuda.cu: f32 and bf16; groups of 4, 8, … 16 inputs and outputs, or depthwise with a multiple of 4
// channels. Groups of 16 are left to the pipeline where it takes them
GRADUS_CONV_RUNG(groups);

#undef GRADUS_CONV_RUNG

/// Into how many parts the depth of backward weight is cut: of at least 1024 pixels, as many as give the GPU some
/// hundred tiles of 64x64.
std::int64_t weight_parts(const ConvShape& c);

/// Calls fn(T{}) with the element type of a problem.
template <class Problem, class Fn>
void typed(const Problem& p, Fn&& fn) {
  if (p.dtype == DType::bf16)
    fn(bf16{});
  else if (p.dtype == DType::f32)
    fn(float{});
  else
    fn(double{});
}
/// The same for what tensor cores take: bf16 or float.
template <class Problem, class Fn>
void tensor_typed(const Problem& p, Fn&& fn) {
  if (p.dtype == DType::bf16)
    fn(bf16{});
  else
    fn(float{});
}
template <class Problem>
bool tensor_allowed(const Problem& p) {
  return p.dtype == DType::bf16 || (p.dtype == DType::f32 && tf32_allowed());
}

}  // namespace gradus::cuda
