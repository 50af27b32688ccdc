#include "cuda/blas.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "cuda/graph.hpp"
#include "cuda/runtime.hpp"
#if defined(GRADUS_SIMT)
#include "core/blas.hpp"
#include "cuda/simt/device_memory.hpp"
#else
#include <cublas_v2.h>
#endif

namespace gradus::cuda {
namespace {

#if defined(GRADUS_SIMT)

/// What a stored matrix spans, from its first element to its last.
std::int64_t span(std::int64_t rows, std::int64_t columns, std::int64_t leading) {
  return rows == 0 || columns == 0 ? 0 : (rows - 1) * leading + columns;
}

void one(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha, const bf16* a,
         std::int64_t lda, const bf16* b, std::int64_t ldb, double beta, bf16* c, std::int64_t ldc) {
  const auto widened = [](const bf16* p, std::int64_t size) {
    std::vector<float> all(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(p[i]);
    return all;
  };
  const std::vector<float> fa = widened(a, span(ta ? k : m, ta ? m : k, lda)),
                           fb = widened(b, span(tb ? n : k, tb ? k : n, ldb));
  std::vector<float> fc = widened(c, span(m, n, ldc));
  blas::parallel_gemm(ta, tb, m, n, k, static_cast<float>(alpha), fa.data(), lda, fb.data(), ldb,
                      static_cast<float>(beta), fc.data(), ldc);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) c[i * ldc + j] = bf16(fc[static_cast<std::size_t>(i * ldc + j)]);
}
template <class T>
void one(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha, const T* a, std::int64_t lda,
         const T* b, std::int64_t ldb, double beta, T* c, std::int64_t ldc) {
  blas::parallel_gemm(ta, tb, m, n, k, static_cast<T>(alpha), a, lda, b, ldb, static_cast<T>(beta), c, ldc);
}

template <class T>
void product(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha, const T* a,
             std::int64_t lda, const T* b, std::int64_t ldb, double beta, T* c, std::int64_t ldc,
             const GemmBatch& batch) {
  auto work = std::make_unique<std::function<void()>>([=] {
    for (std::int64_t i = 0; i < batch.count; ++i)
      one(ta, tb, m, n, k, alpha, a + i * batch.a, lda, b + i * batch.b, ldb, beta, c + i * batch.c, ldc);
    for (std::int64_t i = 0; i < batch.count; ++i)
      simt::written_by_host(c + i * batch.c, static_cast<std::size_t>(span(m, n, ldc)) * sizeof(T));
  });
  if (!capturing()) {
    synchronize();
    return (*work)();
  }
  // A graph runs it at every replay; kept for as long as the program, which is as long as a graph may live.
  static std::vector<std::unique_ptr<std::function<void()>>> kept;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  kept.push_back(std::move(work));
  check_cuda(cudaLaunchHostFunc(
                 stream(), [](void* f) { (*static_cast<std::function<void()>*>(f))(); }, kept.back().get()),
             "cudaLaunchHostFunc");
}

#else

void check_blas(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) fail<DeviceError>("cuda: {}: {}", call, cublasGetStatusString(status));
}

/// cuBLAS handles are not to be used by two threads at once: one for each thread and device.
cublasHandle_t handle() {
  thread_local std::map<int, cublasHandle_t> handles;
  cublasHandle_t& h = handles[current_device()];
  if (h == nullptr) check_blas(cublasCreate(&h), "cublasCreate");
  check_blas(cublasSetStream(h, stream()), "cublasSetStream");
  return h;
}

template <class T>
void product(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha, const T* a,
             std::int64_t lda, const T* b, std::int64_t ldb, double beta, T* c, std::int64_t ldc,
             const GemmBatch& batch) {
  if (m == 0 || n == 0 || batch.count == 0) return;
  constexpr std::int64_t kLargest = 0x7fffffff;
  check<DeviceError>(std::max({m, n, k, lda, ldb, ldc, batch.count}) <= kLargest,
                     "cuda: gemm of {} x {} x {} is beyond cuBLAS", m, n, k);
  const auto data = std::is_same_v<T, float> ? CUDA_R_32F : std::is_same_v<T, double> ? CUDA_R_64F : CUDA_R_16BF;
  const auto compute = std::is_same_v<T, double>                    ? CUBLAS_COMPUTE_64F
                       : std::is_same_v<T, float> && tf32_allowed() ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                    : CUBLAS_COMPUTE_32F;
  const float alpha32 = static_cast<float>(alpha), beta32 = static_cast<float>(beta);
  const void* scale_alpha = std::is_same_v<T, double> ? static_cast<const void*>(&alpha) : &alpha32;
  const void* scale_beta = std::is_same_v<T, double> ? static_cast<const void*>(&beta) : &beta32;
  // Row-major C = A B is column-major C^T = B^T A^T.
  check_blas(cublasGemmStridedBatchedEx(handle(), tb ? CUBLAS_OP_T : CUBLAS_OP_N, ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                                        static_cast<int>(n), static_cast<int>(m), static_cast<int>(k), scale_alpha, b,
                                        data, static_cast<int>(ldb), batch.b, a, data, static_cast<int>(lda), batch.a,
                                        scale_beta, c, data, static_cast<int>(ldc), batch.c,
                                        static_cast<int>(batch.count), compute, CUBLAS_GEMM_DEFAULT),
             "cublasGemmStridedBatchedEx");
}

#endif

}  // namespace

void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const float* a, std::int64_t lda, const float* b, std::int64_t ldb, double beta, float* c, std::int64_t ldc,
          const GemmBatch& batch) {
  product(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, batch);
}
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
          std::int64_t ldc, const GemmBatch& batch) {
  product(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, batch);
}
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
          const bf16* a, std::int64_t lda, const bf16* b, std::int64_t ldb, double beta, bf16* c, std::int64_t ldc,
          const GemmBatch& batch) {
  product(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, batch);
}

}  // namespace gradus::cuda
