// CPU kernels of avg_pool2d: the definition, and rows in parallel.

#include <algorithm>
#include <type_traits>

#include "core/parallel.hpp"
#include "ops/avg_pool2d/avg_pool2d_kernels.hpp"

namespace gradus {
namespace {

using std::int64_t;

template <class T>
const AvgPoolRows<T>& simd() {
  if constexpr (std::is_same_v<T, float>)
    return avg_pool_simd().f32;
  else
    return avg_pool_simd().f64;
}

/// fn(offset of y's element, offset of x's element, 1 / divisor) for every position of every window.
template <class Fn>
void each_position(const PoolPlan& plan, Fn&& fn) {
  const int64_t channels = plan.in[1], height = plan.in[2], width = plan.in[3], out_width = plan.out[3];
  for (int64_t n = 0; n < plan.in[0]; ++n)
    for (int64_t p = 0; p < plan.out[2]; ++p)
      for (int64_t q = 0; q < out_width; ++q) {
        const PoolRow row = pool_row(plan, p);
        const double share =
            1 / (plan.rows.size[static_cast<std::size_t>(p)] * plan.cols.size[static_cast<std::size_t>(q)]);
        for (int64_t r = 0; r < row.h_count; ++r)
          for (int64_t s = 0; s < row.w_count[q]; ++s) {
            const int64_t h = row.h_begin + r, w = row.w_begin[q] + s;
            for (int64_t c = 0; c < channels; ++c)
              fn(((n * plan.out[2] + p) * out_width + q) * channels + c, ((n * height + h) * width + w) * channels + c,
                 share);
          }
      }
}

template <class T>
void forward_reference(const AvgPoolProblem<T>& p) {
  std::vector<double> sum(static_cast<std::size_t>(numel(p.plan->out)));
  each_position(*p.plan, [&](int64_t y, int64_t x, double share) {
    sum[static_cast<std::size_t>(y)] += static_cast<double>(p.from[x]) * share;
  });
  for (std::size_t i = 0; i < sum.size(); ++i) p.to[i] = static_cast<T>(sum[i]);
}
template <class T>
void backward_reference(const AvgPoolProblem<T>& p) {
  std::vector<double> sum(static_cast<std::size_t>(numel(p.plan->in)));
  each_position(*p.plan, [&](int64_t y, int64_t x, double share) {
    sum[static_cast<std::size_t>(x)] += static_cast<double>(p.from[y]) * share;
  });
  for (std::size_t i = 0; i < sum.size(); ++i) p.to[i] = static_cast<T>(sum[i]);
}

/// fn(image, row) for all images and `rows` rows each; about 16 K elements of x to a chunk.
template <class Fn>
void each_row(int64_t images, int64_t rows, int64_t row_elements, Fn&& fn) {
  parallel_ranges(images * rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, row_elements)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) fn(i / rows, i % rows);
                  });
}

template <class T>
std::vector<T> inverses(const std::vector<double>& sizes, double factor) {
  std::vector<T> all;
  for (double size : sizes) all.push_back(static_cast<T>(1 / (size * factor)));
  return all;
}

template <class T>
void forward_rows(const AvgPoolProblem<T>& p) {
  const PoolPlan& plan = *p.plan;
  const int64_t x_row = plan.in[1] * plan.in[3], y_row = plan.out[1] * plan.out[3];
  each_row(plan.in[0], plan.out[2], x_row * plan.rows.widest, [&](int64_t n, int64_t row) {
    const std::vector<T> inverse = inverses<T>(plan.cols.size, plan.rows.size[static_cast<std::size_t>(row)]);
    simd<T>().forward(p.from + n * plan.in[2] * x_row, pool_row(plan, row), inverse.data(),
                      p.to + (n * plan.out[2] + row) * y_row);
  });
}
template <class T>
void backward_rows(const AvgPoolProblem<T>& p) {
  const PoolPlan& plan = *p.plan;
  const int64_t x_row = plan.in[1] * plan.in[3], y_row = plan.out[1] * plan.out[3];
  const std::vector<T> inverse_rows = inverses<T>(plan.rows.size, 1), inverse_cols = inverses<T>(plan.cols.size, 1);
  each_row(plan.in[0], plan.in[2], x_row, [&](int64_t n, int64_t h) {
    const int64_t first = plan.rows.reader_begin[static_cast<std::size_t>(h)];
    const int64_t end = plan.rows.reader_begin[static_cast<std::size_t>(h) + 1];
    simd<T>().backward(p.from + n * plan.out[2] * y_row, plan.rows.readers.data() + first, end - first,
                       pool_row(plan, 0), inverse_rows.data(), inverse_cols.data(),
                       p.to + (n * plan.in[2] + h) * x_row);
  });
}

}  // namespace

template <class T>
const Candidates<AvgPoolProblem<T>>& avg_pool2d_candidates(bool backward) {
  using Problem = AvgPoolProblem<T>;
  static const Candidates<Problem> all[] = {
      {"avg_pool2d.forward",
       {{"rows", "an output row at a time, vectors along channels", always<Problem>, forward_rows<T>},
        {"reference", "one window at a time, sums in double", always<Problem>, forward_reference<T>}}},
      {"avg_pool2d.backward",
       {{"rows", "an input row at a time, from all windows over it", always<Problem>, backward_rows<T>},
        {"reference", "one window at a time, sums in double", always<Problem>, backward_reference<T>}}}};
  return all[backward ? 1 : 0];
}

template const Candidates<AvgPoolProblem<float>>& avg_pool2d_candidates(bool);
template const Candidates<AvgPoolProblem<double>>& avg_pool2d_candidates(bool);

}  // namespace gradus
