// CPU kernels of max_pool2d: the definition, and rows in parallel.

#include <algorithm>
#include <limits>
#include <type_traits>

#include "core/parallel.hpp"
#include "ops/max_pool2d/max_pool2d_kernels.hpp"

namespace gradus {
namespace {

using std::int64_t;

template <class T, class I>
const MaxPoolRows<T, I>& simd() {
  const MaxPoolSimd& all = max_pool_simd();
  if constexpr (std::is_same_v<I, std::uint8_t>) {
    if constexpr (std::is_same_v<T, float>)
      return all.f32;
    else
      return all.f64;
  } else {
    if constexpr (std::is_same_v<T, float>)
      return all.f32_wide;
    else
      return all.f64_wide;
  }
}

/// Calls fn(offset of y's element, offset of x's element, position) for every position of every window, in row order,
/// and before them fn(offset of y's element, -1, 0).
template <class Fn>
void each_position(const PoolPlan& plan, Fn&& fn) {
  const int64_t channels = plan.in[1], height = plan.in[2], width = plan.in[3], out_width = plan.out[3];
  for (int64_t n = 0; n < plan.in[0]; ++n)
    for (int64_t p = 0; p < plan.out[2]; ++p)
      for (int64_t q = 0; q < out_width; ++q)
        for (int64_t c = 0; c < channels; ++c) {
          const PoolRow row = pool_row(plan, p);
          const int64_t to = ((n * plan.out[2] + p) * out_width + q) * channels + c;
          fn(to, int64_t{-1}, int64_t{0});
          for (int64_t r = 0; r < row.h_count; ++r)
            for (int64_t s = 0; s < row.w_count[q]; ++s) {
              const int64_t h = row.h_begin + r * row.h_step, w = row.w_begin[q] + s * row.w_step;
              fn(to, ((n * height + h) * width + w) * channels + c, r * row.widest + s);
            }
        }
}

template <class T, class I>
void forward_reference(const MaxPoolProblem<T, I>& p) {
  each_position(*p.plan, [&](int64_t to, int64_t from, int64_t position) {
    if (from < 0) {
      p.to[to] = -std::numeric_limits<T>::infinity();
      p.position[to] = 0;
    } else if (p.from[from] > p.to[to] || p.from[from] != p.from[from]) {
      p.to[to] = p.from[from];
      p.position[to] = static_cast<I>(position);
    }
  });
}
template <class T, class I>
void pick_reference(const MaxPoolProblem<T, I>& p) {
  each_position(*p.plan, [&](int64_t to, int64_t from, int64_t position) {
    if (from < 0)
      p.to[to] = 0;
    else if (p.position[to] == position)
      p.to[to] = p.from[from];
  });
}
template <class T, class I>
void spread_reference(const MaxPoolProblem<T, I>& p) {
  std::vector<double> sum(static_cast<std::size_t>(numel(p.plan->in)));
  each_position(*p.plan, [&](int64_t to, int64_t from, int64_t position) {
    if (from >= 0 && p.position[to] == position) sum[static_cast<std::size_t>(from)] += static_cast<double>(p.from[to]);
  });
  for (std::size_t i = 0; i < sum.size(); ++i) p.to[i] = static_cast<T>(sum[i]);
}

/// fn(image, row) for all images and `rows` rows each, about 16 K elements of `row_elements` to a chunk.
template <class Fn>
void each_row(int64_t images, int64_t rows, int64_t row_elements, Fn&& fn) {
  parallel_ranges(images * rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, row_elements)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) fn(i / rows, i % rows);
                  });
}

struct Sizes {
  int64_t images, x_plane, x_row, y_plane, y_row;  // elements; planes hold all channels
  explicit Sizes(const PoolPlan& plan)
      : images(plan.in[0]),
        x_plane(plan.in[1] * plan.in[2] * plan.in[3]),
        x_row(plan.in[1] * plan.in[3]),
        y_plane(plan.out[1] * plan.out[2] * plan.out[3]),
        y_row(plan.out[1] * plan.out[3]) {}
};

template <class T, class I>
void forward_rows(const MaxPoolProblem<T, I>& p) {
  const Sizes size(*p.plan);
  each_row(size.images, p.plan->out[2], size.y_row * p.plan->rows.widest, [&](int64_t n, int64_t row) {
    const int64_t to = n * size.y_plane + row * size.y_row;
    simd<T, I>().forward(p.from + n * size.x_plane, pool_row(*p.plan, row), p.to + to, p.position + to);
  });
}
template <class T, class I>
void pick_rows(const MaxPoolProblem<T, I>& p) {
  const Sizes size(*p.plan);
  each_row(size.images, p.plan->out[2], size.y_row * p.plan->rows.widest, [&](int64_t n, int64_t row) {
    const int64_t to = n * size.y_plane + row * size.y_row;
    simd<T, I>().pick(p.from + n * size.x_plane, pool_row(*p.plan, row), p.position + to, p.to + to);
  });
}
template <class T, class I>
void spread_rows(const MaxPoolProblem<T, I>& p) {
  const Sizes size(*p.plan);
  const Windows& rows = p.plan->rows;
  each_row(size.images, p.plan->in[2], size.x_row, [&](int64_t n, int64_t h) {
    const int64_t first = rows.reader_begin[static_cast<std::size_t>(h)];
    simd<T, I>().spread(p.from + n * size.y_plane, p.position + n * size.y_plane, rows.readers.data() + first,
                        rows.reader_begin[static_cast<std::size_t>(h) + 1] - first, pool_row(*p.plan, 0),
                        p.to + n * size.x_plane + h * size.x_row);
  });
}

}  // namespace

template <class T, class I>
const Candidates<MaxPoolProblem<T, I>>& max_pool2d_candidates(MaxPoolTask task) {
  using Problem = MaxPoolProblem<T, I>;
  static const Candidates<Problem> all[] = {
      {"max_pool2d.forward",
       {{"rows", "an output row at a time, vectors along channels", always<Problem>, forward_rows<T, I>},
        {"reference", "one window at a time", always<Problem>, forward_reference<T, I>}}},
      {"max_pool2d.pick",
       {{"rows", "an output row at a time", always<Problem>, pick_rows<T, I>},
        {"reference", "one window at a time", always<Problem>, pick_reference<T, I>}}},
      {"max_pool2d.backward",
       {{"rows", "an input row at a time, from all windows over it", always<Problem>, spread_rows<T, I>},
        {"reference", "one window at a time, sums in double", always<Problem>, spread_reference<T, I>}}}};
  return all[static_cast<int>(task)];
}

void cpu::max_pool2d_indices(const PoolPlan& plan, int64_t* index) {
  for (int64_t n = 0; n < plan.out[0]; ++n)
    for (int64_t p = 0; p < plan.out[2]; ++p) {
      const PoolRow row = pool_row(plan, p);
      for (int64_t q = 0; q < plan.out[3]; ++q)
        for (int64_t c = 0; c < plan.out[1]; ++c, ++index) {
          const int64_t h = row.h_begin + *index / row.widest * row.h_step;
          const int64_t w = row.w_begin[q] + *index % row.widest * row.w_step;
          *index = row.h_count > 0 && row.w_count[q] > 0 ? h * plan.in[3] + w : -1;
        }
    }
}

#define GRADUS_INSTANTIATE(T, I) template const Candidates<MaxPoolProblem<T, I>>& max_pool2d_candidates(MaxPoolTask);
GRADUS_INSTANTIATE(float, std::uint8_t)
GRADUS_INSTANTIATE(double, std::uint8_t)
GRADUS_INSTANTIATE(float, std::int64_t)
GRADUS_INSTANTIATE(double, std::int64_t)
#undef GRADUS_INSTANTIATE

}  // namespace gradus
