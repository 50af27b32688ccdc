#pragma once
// Kernels of matmul and linear.

#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// y = a b (+ bias to every row) for each position of `batch`. Strides count elements; y's rows are dense.
struct MatmulProblem {
  DType dtype;  // of all memory: f32, f64 or (on CUDA, with sums in f32) bf16
  std::int64_t m, n, k;
  std::int64_t a_row, a_column, b_row, b_column;
  Shape batch;
  Strides a_batch, b_batch, y_batch;  // 0 where broadcast
  const void* a;                      // [batch, m, k]
  const void* b;                      // [batch, k, n]
  const void* bias;                   // [n], unit stride; may be null
  void* y;                            // [batch, m, n]
};

/// Whether BLAS reads a matrix of these strides: one of them is 1 and the other at least a row's (column's) length.
bool blas_reads(std::int64_t rows, std::int64_t columns, std::int64_t row_stride, std::int64_t column_stride);

namespace cpu {
const Candidates<MatmulProblem>& matmul();
}  // namespace cpu
namespace cuda {
const Candidates<MatmulProblem>& matmul();
}  // namespace cuda

}  // namespace gradus
