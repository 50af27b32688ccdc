#pragma once
// Kernels of softmax, log_softmax and their gradients. A row is the numbers along the dim.

#include "core/isa.hpp"
#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

struct SoftmaxProblem {
  bool logarithm;
  DType dtype;
  std::int64_t n;  // numbers in a row
  Shape rows;
  Strides x_rows, y_rows;
  std::int64_t x_step, y_step;  // along a row
  const void* x;
  void* y;
};

/// gx from gy and y:  softmax gx = y (gy - sum(gy y)),  log_softmax gx = gy - exp(y) sum(gy).
struct SoftmaxGradProblem {
  bool logarithm;
  DType dtype;
  std::int64_t n;
  Shape rows;
  Strides gy_rows, y_rows, gx_rows;
  std::int64_t gy_step, y_step, gx_step;
  const void *gy, *y;
  void* gx;
};

namespace cpu {
const Candidates<SoftmaxProblem>& softmax();
const Candidates<SoftmaxGradProblem>& softmax_backward();
}  // namespace cpu
namespace cuda {
const Candidates<SoftmaxProblem>& softmax();
const Candidates<SoftmaxGradProblem>& softmax_backward();
}  // namespace cuda

/// On n consecutive floats.
struct SoftmaxSimd {
  /// The largest; NaN if there is one.
  float (*largest)(const float* x, std::int64_t n);
  /// y = exp(x - shift); returns the sum. y may be null, or x.
  double (*exp_shifted)(const float* x, float shift, float* y, std::int64_t n);
};
GRADUS_ISA_TABLE(SoftmaxSimd, softmax_simd)

}  // namespace gradus
