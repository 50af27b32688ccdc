#pragma once
// Matrix products on the CPU, by OpenBLAS.
//
// The library is loaded at the first use, not at program start, because of a trap: Debian's OpenBLAS 0.3.21 does not
// know newer CPUs and falls back to SSE3 kernels at a fifth of the speed unless OPENBLAS_CORETYPE names a core before
// it is loaded. It is called single-threaded; parallelism is ours, so that results do not depend on it.

#include <cstdint>
#include <string>

namespace gradus::blas {

/// C = alpha * op(A) op(B) + beta * C, row-major, on the calling thread. op(A) is m x k, op(B) k x n, C m x n; lda,
/// ldb, ldc are the lengths of a stored row. With k = 0 C is scaled by beta.
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc);
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
          std::int64_t ldc);

/// The same cut into tiles of C that run in parallel. The tiles depend on the sizes alone.
void parallel_gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
                   const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c,
                   std::int64_t ldc);
void parallel_gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
                   const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
                   std::int64_t ldc);

/// What OpenBLAS says of itself: version and the kernels it chose, e.g. "OpenBLAS 0.3.21, Haswell kernels".
std::string library_info();
/// The core type OpenBLAS chose, e.g. "Haswell", "SkylakeX"; "Prescott" on a modern CPU is the trap above.
std::string core_name();

}  // namespace gradus::blas
