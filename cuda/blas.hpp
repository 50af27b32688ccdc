#pragma once
// Matrix products on the device by cuBLAS, through the narrow door we need; in emulation by OpenBLAS.

#include <cstdint>

#include "core/dtype.hpp"

namespace gradus::cuda {

/// `count` products one after the other in memory, or one.
struct GemmBatch {
  std::int64_t count = 1;
  std::int64_t a = 0, b = 0, c = 0;  // elements from one matrix to the next
};

/// C = alpha * op(A) op(B) + beta * C, row-major, queued on the current stream. op(A) is m x k, op(B) k x n, C m x n;
/// lda, ldb, ldc are the lengths of a stored row. f32 uses TF32 if tf32_allowed(); bf16 sums in f32. DeviceError where
/// a size is above 2^31 - 1.
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, double beta, float* c, std::int64_t ldc,
          const GemmBatch& batch = {});
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
          std::int64_t ldc, const GemmBatch& batch = {});
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const bf16* a, std::int64_t lda, const bf16* b, std::int64_t ldb, double beta, bf16* c, std::int64_t ldc,
          const GemmBatch& batch = {});

}  // namespace gradus::cuda
