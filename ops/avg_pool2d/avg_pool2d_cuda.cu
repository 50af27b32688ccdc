// avg_pool2d on CUDA: one thread for each element of the result, neighbours along channels. Bound by memory. Backward
// collects from the windows over each element of gx, in order.

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "ops/avg_pool2d/avg_pool2d_kernels.hpp"
#include "ops/pool/device_windows.cuh"

namespace gradus::cuda {
namespace {

template <class T>
void forward(const AvgPoolProblem<T>& p) {
  const DevicePlan plan(*p.plan);
  const T* x = p.from;
  T* y = p.to;
  each(plan.out_size(), [=] __device__(std::int64_t i) {
    const DeviceWindows &rows = plan.rows, &cols = plan.cols;
    const PlaneElement e(i, rows.out, cols.out, plan.channels);
    using C = Compute<T>;
    C sum = 0;
    for (std::int64_t r = 0; r < rows.count[e.row]; ++r) {
      const std::int64_t h = rows.begin[e.row] + r;
      for (std::int64_t s = 0; s < cols.count[e.column]; ++s)
        sum += device_convert<C>(x[((e.n * rows.in + h) * cols.in + cols.begin[e.column] + s) * plan.channels + e.c]);
    }
    y[i] = device_convert<T>(sum * device_convert<C>(1 / (rows.size[e.row] * cols.size[e.column])));
  });
}

template <class T>
void backward(const AvgPoolProblem<T>& p) {
  const DevicePlan plan(*p.plan);
  const T* gy = p.from;
  T* gx = p.to;
  each(plan.in_size(), [=] __device__(std::int64_t i) {
    const DeviceWindows &rows = plan.rows, &cols = plan.cols;
    const PlaneElement e(i, rows.in, cols.in, plan.channels);
    using C = Compute<T>;
    C sum = 0;
    for (std::int64_t a = rows.reader_begin[e.row]; a < rows.reader_begin[e.row + 1]; ++a) {
      const std::int64_t row = rows.readers[a].out;
      for (std::int64_t b = cols.reader_begin[e.column]; b < cols.reader_begin[e.column + 1]; ++b) {
        const std::int64_t column = cols.readers[b].out;
        sum += device_convert<C>(gy[((e.n * rows.out + row) * cols.out + column) * plan.channels + e.c]) *
               device_convert<C>(1 / (rows.size[row] * cols.size[column]));
      }
    }
    gx[i] = device_convert<T>(sum);
  });
}

}  // namespace

template <class T>
const Candidates<AvgPoolProblem<T>>& avg_pool2d(bool is_backward) {
  using Problem = AvgPoolProblem<T>;
  static const Candidates<Problem> all[] = {
      {"avg_pool2d.forward",
       {{"naive", "a thread for each element of y; bound by memory", always<Problem>, forward<T>}}},
      {"avg_pool2d.backward",
       {{"naive", "a thread for each element of gx, from all windows over it", always<Problem>, backward<T>}}}};
  return all[is_backward ? 1 : 0];
}
template const Candidates<AvgPoolProblem<float>>& avg_pool2d(bool);
template const Candidates<AvgPoolProblem<double>>& avg_pool2d(bool);
template const Candidates<AvgPoolProblem<bf16>>& avg_pool2d(bool);

}  // namespace gradus::cuda
