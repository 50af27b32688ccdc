// Softmax on the CPU.
//   reference  one row after the other, any strides, in f64
//   rows       f32 rows of neighbouring numbers, in parallel, exponentials in vector registers; bound by arithmetic
// The gradient has the reference's loops alone, in parallel: bound by memory.

#include <cmath>

#include "core/strided.hpp"
#include "ops/softmax/softmax_kernels.hpp"

namespace gradus::cpu {
namespace {

/// Rows that make a chunk.
std::int64_t grain(std::int64_t n) { return std::max<std::int64_t>(1, kGrain / 4 / std::max<std::int64_t>(1, n)); }

template <class T>
void row_of(bool logarithm, const T* x, std::int64_t x_step, T* y, std::int64_t y_step, std::int64_t n) {
  double largest = static_cast<double>(x[0]), total = 0;
  for (std::int64_t i = 1; i < n; ++i) largest = std::max(largest, static_cast<double>(x[i * x_step]));
  for (std::int64_t i = 0; i < n; ++i) total += std::exp(static_cast<double>(x[i * x_step]) - largest);
  const double log_total = std::log(total);
  for (std::int64_t i = 0; i < n; ++i) {
    const double shifted = static_cast<double>(x[i * x_step]) - largest;
    y[i * y_step] = static_cast<T>(logarithm ? shifted - log_total : std::exp(shifted) / total);
  }
}

void reference(const SoftmaxProblem& p) {
  if (p.n == 0) return;
  const StridedLoop<2> loop(p.rows, {&p.y_rows, &p.x_rows});
  dispatch_float("softmax", p.dtype, [&]<class T>(T) {
    loop.run(grain(p.n), [&](const auto& at, std::int64_t rows) {
      for (std::int64_t r = 0; r < rows; ++r)
        row_of(p.logarithm, static_cast<const T*>(p.x) + at[1] + r * loop.inner_stride(1), p.x_step,
               static_cast<T*>(p.y) + at[0] + r * loop.inner_stride(0), p.y_step, p.n);
    });
  });
}

bool unit_rows(const SoftmaxProblem& p) { return p.dtype == DType::f32 && p.n > 0 && p.x_step == 1 && p.y_step == 1; }

void rows_in_vectors(const SoftmaxProblem& p) {
  const StridedLoop<2> loop(p.rows, {&p.y_rows, &p.x_rows});
  const SoftmaxSimd& simd = softmax_simd();
  loop.run(grain(p.n), [&](const auto& at, std::int64_t rows) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* x = static_cast<const float*>(p.x) + at[1] + r * loop.inner_stride(1);
      float* y = static_cast<float*>(p.y) + at[0] + r * loop.inner_stride(0);
      const float largest = simd.largest(x, p.n);
      if (p.logarithm) {
        const auto log_total = static_cast<float>(std::log(simd.exp_shifted(x, largest, nullptr, p.n)));
        for (std::int64_t i = 0; i < p.n; ++i) y[i] = (x[i] - largest) - log_total;
      } else {
        const auto scale = static_cast<float>(1 / simd.exp_shifted(x, largest, y, p.n));
        for (std::int64_t i = 0; i < p.n; ++i) y[i] *= scale;
      }
    }
  });
}

void backward_reference(const SoftmaxGradProblem& p) {
  const StridedLoop<3> loop(p.rows, {&p.gx_rows, &p.gy_rows, &p.y_rows});
  dispatch_float("softmax.backward", p.dtype, [&]<class T>(T) {
    loop.run(grain(p.n), [&](const auto& at, std::int64_t rows) {
      for (std::int64_t r = 0; r < rows; ++r) {
        T* gx = static_cast<T*>(p.gx) + at[0] + r * loop.inner_stride(0);
        const T* gy = static_cast<const T*>(p.gy) + at[1] + r * loop.inner_stride(1);
        const T* y = static_cast<const T*>(p.y) + at[2] + r * loop.inner_stride(2);
        double total = 0;
        for (std::int64_t i = 0; i < p.n; ++i)
          total += static_cast<double>(gy[i * p.gy_step]) * (p.logarithm ? 1.0 : static_cast<double>(y[i * p.y_step]));
        const T sum = static_cast<T>(total);
        for (std::int64_t i = 0; i < p.n; ++i) {
          const T g = gy[i * p.gy_step], v = y[i * p.y_step];
          gx[i * p.gx_step] = p.logarithm ? g - std::exp(v) * sum : v * (g - sum);
        }
      }
    });
  });
}

}  // namespace

const Candidates<SoftmaxProblem>& softmax() {
  static const Candidates<SoftmaxProblem> candidates(
      "softmax", {{"rows", "f32 rows in vector registers; bound by arithmetic", unit_rows, rows_in_vectors},
                  {"reference", "one row after the other, in f64", always<SoftmaxProblem>, reference}});
  return candidates;
}

const Candidates<SoftmaxGradProblem>& softmax_backward() {
  static const Candidates<SoftmaxGradProblem> candidates(
      "softmax.backward", {{"reference", "two loops over a row, in parallel; bound by memory",
                            always<SoftmaxGradProblem>, backward_reference}});
  return candidates;
}

}  // namespace gradus::cpu
