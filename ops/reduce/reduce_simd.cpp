// Sums of rows and of runs, bound by memory. f32 is added in f32 over 64 terms at most, then in f64.

#include "core/simd.hpp"
#include "ops/reduce/reduce_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

/// V vectors of columns stay in registers down the rows.
template <int V>
inline void add_columns(const float* const* rows, int count, std::int64_t at, double* totals) {
  VecN sums[V] = {};
  for (int r = 0; r < count; ++r)
    for (int v = 0; v < V; ++v) sums[v] += load(rows[r] + at + v * kLanes);
  float lanes[V * kLanes];
  for (int v = 0; v < V; ++v) store(lanes + v * kLanes, sums[v]);
  for (int j = 0; j < V * kLanes; ++j) totals[at + j] += static_cast<double>(lanes[j]);
}

void add_rows(const float* const* rows, int count, std::int64_t n, double* totals) {
  std::int64_t j = 0;
  for (; j + 4 * kLanes <= n; j += 4 * kLanes) add_columns<4>(rows, count, j, totals);
  for (; j + kLanes <= n; j += kLanes) add_columns<1>(rows, count, j, totals);
  for (; j < n; ++j) {
    float sum = 0;
    for (int r = 0; r < count; ++r) sum += rows[r][j];
    totals[j] += static_cast<double>(sum);
  }
}

void add_rows_f64(const double* const* rows, int count, std::int64_t n, double* totals) {
  for (int r = 0; r < count; ++r) {
    const double* row = rows[r];
    for (std::int64_t j = 0; j < n; ++j) totals[j] += row[j];
  }
}

// Sixteen sums side by side on every instruction set, so that all of them give the same bits.
constexpr int kSums = 16;
constexpr std::int64_t kBlock = 64 * kSums;

template <class T>
double sum_of_run(const T* p, std::int64_t n) {
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const std::int64_t end = begin + kBlock < n ? begin + kBlock : n;
    T sums[kSums] = {};
    std::int64_t i = begin;
    for (; i + kSums <= end; i += kSums)
      for (int s = 0; s < kSums; ++s) sums[s] += p[i + s];
    for (; i < end; ++i) total += static_cast<double>(p[i]);
    for (int width = kSums / 2; width > 0; width /= 2)
      for (int s = 0; s < width; ++s) sums[s] += sums[s + width];
    total += static_cast<double>(sums[0]);
  }
  return total;
}
double sum_run(const float* p, std::int64_t n) { return sum_of_run(p, n); }
double sum_run_f64(const double* p, std::int64_t n) { return sum_of_run(p, n); }

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(ReduceSimd, reduce_simd,
                  {.add_rows = add_rows, .add_rows_f64 = add_rows_f64, .sum_run = sum_run, .sum_run_f64 = sum_run_f64})
