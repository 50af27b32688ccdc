// max_pool2d on CUDA: one thread for each element of the result, neighbours along channels. Bound by memory where
// windows do not overlap, by compares where they do. Backward collects, for each element of gx, from the windows that
// read it: no atomics, and the order of the sum is fixed.

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "ops/max_pool2d/max_pool2d_kernels.hpp"
#include "ops/pool/device_windows.cuh"

namespace gradus::cuda {
namespace {

template <class T, class I>
void forward(const MaxPoolProblem<T, I>& p) {
  const DevicePlan plan(*p.plan);
  const T* x = p.from;
  T* y = p.to;
  I* position = p.position;
  each(plan.out_size(), [=] __device__(std::int64_t i) {
    const DeviceWindows &rows = plan.rows, &cols = plan.cols;
    const PlaneElement e(i, rows.out, cols.out, plan.channels);
    using C = Compute<T>;
    C best = -INFINITY;
    I at = 0;
    for (std::int64_t r = 0; r < rows.count[e.row]; ++r)
      for (std::int64_t s = 0; s < cols.count[e.column]; ++s) {
        const std::int64_t h = rows.begin[e.row] + r * rows.step, w = cols.begin[e.column] + s * cols.step;
        const C v = device_convert<C>(x[((e.n * rows.in + h) * cols.in + w) * plan.channels + e.c]);
        if (v > best || v != v) {
          best = v;
          at = static_cast<I>(r * cols.widest + s);
        }
      }
    y[i] = device_convert<T>(best);
    position[i] = at;
  });
}

template <class T, class I>
void pick(const MaxPoolProblem<T, I>& p) {
  const DevicePlan plan(*p.plan);
  const T* x = p.from;
  T* y = p.to;
  const I* position = p.position;
  each(plan.out_size(), [=] __device__(std::int64_t i) {
    const DeviceWindows &rows = plan.rows, &cols = plan.cols;
    const PlaneElement e(i, rows.out, cols.out, plan.channels);
    const auto at = static_cast<std::int64_t>(position[i]);
    const std::int64_t r = at / cols.widest, s = at % cols.widest;
    const std::int64_t h = rows.begin[e.row] + r * rows.step, w = cols.begin[e.column] + s * cols.step;
    const bool inside = r < rows.count[e.row] && s < cols.count[e.column];
    y[i] = inside ? x[((e.n * rows.in + h) * cols.in + w) * plan.channels + e.c] : device_convert<T>(0.0f);
  });
}

template <class T, class I>
void spread(const MaxPoolProblem<T, I>& p) {
  const DevicePlan plan(*p.plan);
  const T* gy = p.from;
  T* gx = p.to;
  const I* position = p.position;
  each(plan.in_size(), [=] __device__(std::int64_t i) {
    const DeviceWindows &rows = plan.rows, &cols = plan.cols;
    const PlaneElement e(i, rows.in, cols.in, plan.channels);
    Compute<T> sum = 0;
    for (std::int64_t a = rows.reader_begin[e.row]; a < rows.reader_begin[e.row + 1]; ++a)
      for (std::int64_t b = cols.reader_begin[e.column]; b < cols.reader_begin[e.column + 1]; ++b) {
        const Windows::Reader row = rows.readers[a], column = cols.readers[b];
        const std::int64_t from = ((e.n * rows.out + row.out) * cols.out + column.out) * plan.channels + e.c;
        if (static_cast<std::int64_t>(position[from]) == row.at * cols.widest + column.at)
          sum += device_convert<Compute<T>>(gy[from]);
      }
    gx[i] = device_convert<T>(sum);
  });
}

}  // namespace

template <class T, class I>
const Candidates<MaxPoolProblem<T, I>>& max_pool2d(MaxPoolTask task) {
  using Problem = MaxPoolProblem<T, I>;
  static const Candidates<Problem> all[] = {
      {"max_pool2d.forward", {{"naive", "a thread for each element of y", always<Problem>, forward<T, I>}}},
      {"max_pool2d.pick", {{"naive", "a thread for each element of y", always<Problem>, pick<T, I>}}},
      {"max_pool2d.backward",
       {{"naive", "a thread for each element of gx, from all windows over it", always<Problem>, spread<T, I>}}}};
  return all[static_cast<int>(task)];
}

void max_pool2d_indices(const PoolPlan& host_plan, std::int64_t* index) {
  const DevicePlan plan(host_plan);
  each(plan.out_size(), [=] __device__(std::int64_t i) {
    const DeviceWindows &rows = plan.rows, &cols = plan.cols;
    const PlaneElement e(i, rows.out, cols.out, plan.channels);
    const std::int64_t h = rows.begin[e.row] + index[i] / cols.widest * rows.step;
    const std::int64_t w = cols.begin[e.column] + index[i] % cols.widest * cols.step;
    index[i] = rows.count[e.row] > 0 && cols.count[e.column] > 0 ? h * cols.in + w : -1;
  });
}

#define GRADUS_INSTANTIATE(T, I) template const Candidates<MaxPoolProblem<T, I>>& max_pool2d(MaxPoolTask);
GRADUS_INSTANTIATE(float, std::uint8_t)
GRADUS_INSTANTIATE(double, std::uint8_t)
GRADUS_INSTANTIATE(bf16, std::uint8_t)
GRADUS_INSTANTIATE(float, std::int64_t)
GRADUS_INSTANTIATE(double, std::int64_t)
GRADUS_INSTANTIATE(bf16, std::int64_t)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::cuda
