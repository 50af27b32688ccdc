#pragma once
// Kernels of the reductions.

#include "core/isa.hpp"
#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// y[o] = sum of the x that fall on o. Shape and strides of x; y's strides along x's dims, 0 where reduced.
struct SumProblem {
  DType dtype;
  Shape shape;
  Strides x_strides, y_strides;
  std::int64_t outputs;  // elements of y, which is dense
  const void* x;
  void* y;
};

/// For each position of the kept dims (dense, logical order) the extreme over the reduced dims, in their logical order.
struct ExtremeProblem {
  bool largest;
  DType dtype;
  Shape kept, reduced;
  Strides kept_strides, reduced_strides;  // of x
  const void* x;
  void* values;             // may be null
  std::int64_t* positions;  // flat position within the reduced dims; may be null
};

namespace cpu {
const Candidates<SumProblem>& sum();
void extreme(const ExtremeProblem&);
}  // namespace cpu
namespace cuda {
const Candidates<SumProblem>& sum();
const Candidates<ExtremeProblem>& extreme();
}  // namespace cuda

struct ReduceSimd {
  /// totals[j] += sum over r < count of rows[r][j], j < n. At most 64 rows: f32 adds them up in f32.
  void (*add_rows)(const float* const* rows, int count, std::int64_t n, double* totals);
  void (*add_rows_f64)(const double* const* rows, int count, std::int64_t n, double* totals);
  /// Sum of n consecutive numbers.
  double (*sum_run)(const float* p, std::int64_t n);
  double (*sum_run_f64)(const double* p, std::int64_t n);
};
GRADUS_ISA_TABLE(ReduceSimd, reduce_simd)

}  // namespace gradus
