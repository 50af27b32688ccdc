#include "core/blas.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace gradus::blas {
namespace {

// The part of CBLAS's interface that is used; its constants are fixed by the standard.
constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
using Dgemm = void (*)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*,
                       int);

struct Library {
  Sgemm sgemm;
  Dgemm dgemm;
  std::string core, config;
};

Library open() {
  // Set only what the user has not set. The names are OpenBLAS's for the widest vectors this CPU has.
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    ::setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
  ::setenv("OPENBLAS_NUM_THREADS", "1", 0);
  void* handle = nullptr;
  for (const char* name : {"libopenblas.so.0", "libopenblas.so"})
    if (!handle) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  check<FileError>(handle != nullptr, "blas: cannot load libopenblas.so.0 (install OpenBLAS): {}", ::dlerror());
  const auto find = [&](const char* name) {
    void* symbol = ::dlsym(handle, name);
    check<FileError>(symbol != nullptr, "blas: {} is missing from libopenblas", name);
    return symbol;
  };
  reinterpret_cast<void (*)(int)>(find("openblas_set_num_threads"))(1);
  return {reinterpret_cast<Sgemm>(find("cblas_sgemm")), reinterpret_cast<Dgemm>(find("cblas_dgemm")),
          reinterpret_cast<char* (*)()>(find("openblas_get_corename"))(),
          reinterpret_cast<char* (*)()>(find("openblas_get_config"))()};
}

const Library& library() {
  static const Library loaded = open();
  return loaded;
}

template <class T>
void call(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a, std::int64_t lda,
          const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : beta * c[i * ldc + j];
    return;
  }
  check<ShapeError>(std::max({m, n, k, lda, ldb, ldc}) <= INT_MAX,
                    "gemm: OpenBLAS counts in 32 bits; got M {}, N {}, K {}, rows of {}, {} and {}", m, n, k, lda, ldb,
                    ldc);
  const auto i32 = [](std::int64_t v) { return static_cast<int>(v); };
  const int op_a = ta ? kTrans : kNoTrans, op_b = tb ? kTrans : kNoTrans;
  if constexpr (std::is_same_v<T, float>)
    library().sgemm(kRowMajor, op_a, op_b, i32(m), i32(n), i32(k), alpha, a, i32(lda), b, i32(ldb), beta, c, i32(ldc));
  else
    library().dgemm(kRowMajor, op_a, op_b, i32(m), i32(n), i32(k), alpha, a, i32(lda), b, i32(ldb), beta, c, i32(ldc));
}

template <class T>
void tiled(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a, std::int64_t lda,
           const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  // Tiles of about 256 x 512 amortise the packing of A and B; small products are one tile, below what a hand-over
  // costs.
  const bool small = m * n * std::max<std::int64_t>(k, 1) < 64 * 64 * 64;
  const std::int64_t tile_m = small ? m : 256, tile_n = small ? n : 512;
  const std::int64_t rows = (m + tile_m - 1) / tile_m, columns = (n + tile_n - 1) / tile_n;
  parallel_for(rows * columns, [&](std::int64_t tile) {
    const std::int64_t i = tile / columns * tile_m, j = tile % columns * tile_n;
    call(ta, tb, std::min(tile_m, m - i), std::min(tile_n, n - j), k, alpha, a + (ta ? i : i * lda), lda,
         b + (tb ? j * ldb : j), ldb, beta, c + i * ldc + j, ldc);
  });
}

}  // namespace

void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  call(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha, const double* a,
          std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c, std::int64_t ldc) {
  call(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void parallel_gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, float alpha, const float* a,
                   std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  tiled(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
void parallel_gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha, const double* a,
                   std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c, std::int64_t ldc) {
  tiled(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

std::string core_name() { return library().core; }
std::string library_info() { return library().config + ", " + library().core + " kernels"; }

}  // namespace gradus::blas
