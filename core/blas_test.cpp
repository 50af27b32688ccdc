#include "core/blas.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "core/philox.hpp"

namespace gradus {
namespace {

/// What the product should be, in double.
template <class T>
std::vector<double> by_loops(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
                             const std::vector<T>& a, std::int64_t lda, const std::vector<T>& b, std::int64_t ldb,
                             double beta, const std::vector<T>& c, std::int64_t ldc) {
  std::vector<double> y(c.begin(), c.end());
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double total = 0;
      for (std::int64_t p = 0; p < k; ++p)
        total += static_cast<double>(a[static_cast<std::size_t>(ta ? p * lda + i : i * lda + p)]) *
                 static_cast<double>(b[static_cast<std::size_t>(tb ? j * ldb + p : p * ldb + j)]);
      double& out = y[static_cast<std::size_t>(i * ldc + j)];
      out = alpha * total + (beta == 0 ? 0 : beta * out);
    }
  return y;
}

template <class T>
std::vector<T> numbers(std::int64_t n, std::uint64_t stream) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<T>(Philox{1, stream}.uniform(i) - 0.5f);
  return v;
}

struct Size {
  std::int64_t m, n, k;
};

template <class T>
void check_products(double tolerance) {
  for (const Size s : {Size{1, 1, 1}, {3, 5, 7}, {17, 1, 9}, {1, 33, 4}, {300, 70, 20}, {257, 513, 3}, {4, 4, 0}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const auto& [alpha, beta] : {std::pair{1.0, 0.0}, {0.5, 1.0}, {-2.0, 0.25}}) {
          CAPTURE(s.m);
          CAPTURE(s.n);
          CAPTURE(s.k);
          const std::int64_t lda = (ta ? s.m : s.k) + 2, ldb = (tb ? s.k : s.n) + 1, ldc = s.n + 3;
          const auto a = numbers<T>((ta ? s.k : s.m) * lda, 1), b = numbers<T>((tb ? s.n : s.k) * ldb, 2);
          const auto c = numbers<T>(s.m * ldc, 3);
          const auto expected = by_loops(ta, tb, s.m, s.n, s.k, alpha, a, lda, b, ldb, beta, c, ldc);
          auto plain = c, tiled = c;
          blas::gemm(ta, tb, s.m, s.n, s.k, static_cast<T>(alpha), a.data(), lda, b.data(), ldb, static_cast<T>(beta),
                     plain.data(), ldc);
          blas::parallel_gemm(ta, tb, s.m, s.n, s.k, static_cast<T>(alpha), a.data(), lda, b.data(), ldb,
                              static_cast<T>(beta), tiled.data(), ldc);
          double worst = 0;
          for (std::size_t i = 0; i < c.size(); ++i)
            worst = std::max({worst, std::abs(static_cast<double>(plain[i]) - expected[i]),
                              std::abs(static_cast<double>(tiled[i]) - expected[i])});
          CHECK(worst < tolerance);  // between the rows of C too: what lies there is left alone
        }
}

}  // namespace

TEST_CASE("gemm: agrees with plain loops for every transposition, odd sizes, padded rows, alpha and beta") {
  check_products<float>(1e-5);
  check_products<double>(1e-13);
}

TEST_CASE("gemm: with beta 0, C may hold anything, NaN included") {
  const std::vector<float> a{2}, b{3};
  std::vector<float> c{std::numeric_limits<float>::quiet_NaN()};
  blas::gemm(false, false, 1, 1, 1, 1.0f, a.data(), 1, b.data(), 1, 0.0f, c.data(), 1);
  CHECK(c[0] == 6);
  c[0] = std::numeric_limits<float>::quiet_NaN();
  blas::gemm(false, false, 1, 1, 0, 1.0f, a.data(), 1, b.data(), 1, 0.0f, c.data(), 1);
  CHECK(c[0] == 0);
}

TEST_CASE("parallel_gemm: gives the same bits whatever the number of threads") {
  const auto a = numbers<float>(600 * 90, 1), b = numbers<float>(90 * 1100, 2);
  const int before = num_threads();
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    std::vector<float> c(600 * 1100);
    blas::parallel_gemm(false, false, 600, 1100, 90, 1.0f, a.data(), 90, b.data(), 1100, 0.0f, c.data(), 1100);
    if (first.empty()) first = c;
    CHECK(c == first);
  }
  set_num_threads(before);
}

TEST_CASE("gemm: sizes beyond OpenBLAS's 32 bits are refused before anything runs") {
  float x = 0;
  CHECK_THROWS_WITH_AS(
      blas::gemm(false, false, 1, std::int64_t{1} << 31, 1, 1.0f, &x, 1, &x, std::int64_t{1} << 31, 0.0f, &x,
                 std::int64_t{1} << 31),
      "gemm: OpenBLAS counts in 32 bits; got M 1, N 2147483648, K 1, rows of 1, 2147483648 and 2147483648", ShapeError);
}

TEST_CASE("blas: OpenBLAS runs kernels for this CPU, not the SSE3 ones it falls back to") {
  CAPTURE(blas::library_info());
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) CHECK(blas::core_name() != "Prescott");
#endif
  CHECK(blas::library_info().find(blas::core_name()) != std::string::npos);
}

}  // namespace gradus
