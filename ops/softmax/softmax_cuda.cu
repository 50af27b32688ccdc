// Softmax on CUDA. Bound by memory where rows are long, by launches in a classifier's head.
//   naive  one thread for each row: largest, sum, result, three walks over it
//   warps  a warp for each row of neighbouring numbers; rows of up to 1024 stay in registers and are read once
// The gradient has the same two rungs.

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/reduce.cuh"
#include "cuda/strided.cuh"
#include "ops/softmax/softmax_kernels.hpp"

namespace gradus::cuda {
namespace {

// ---- naive

template <class T>
void softmax_naive(const SoftmaxProblem& p) {
  const StridedIndex<2> rows(StridedLoop<2>(p.rows, {&p.y_rows, &p.x_rows}));
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  const std::int64_t n = p.n, x_step = p.x_step, y_step = p.y_step;
  const bool logarithm = p.logarithm;
  each(rows.total, [=] __device__(std::int64_t row) {
    const Offsets<2> o = rows(row);
    const T* from = x + o.at[1];
    T* to = y + o.at[0];
    using C = Compute<T>;
    C largest = device_convert<C>(from[0]);
    for (std::int64_t i = 1; i < n; ++i) largest = Larger{}(largest, device_convert<C>(from[i * x_step]));
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i)
      total += static_cast<double>(std::exp(device_convert<C>(from[i * x_step]) - largest));
    const C scale = device_convert<C>(1 / total), log_total = device_convert<C>(std::log(total));
    for (std::int64_t i = 0; i < n; ++i) {
      const C shifted = device_convert<C>(from[i * x_step]) - largest;
      to[i * y_step] = device_convert<T>(logarithm ? shifted - log_total : std::exp(shifted) * scale);
    }
  });
}

template <class T>
void softmax_backward_naive(const SoftmaxGradProblem& p) {
  const StridedIndex<3> rows(StridedLoop<3>(p.rows, {&p.gx_rows, &p.gy_rows, &p.y_rows}));
  const T* gy = static_cast<const T*>(p.gy);
  const T* y = static_cast<const T*>(p.y);
  T* gx = static_cast<T*>(p.gx);
  const std::int64_t n = p.n, gy_step = p.gy_step, y_step = p.y_step, gx_step = p.gx_step;
  const bool logarithm = p.logarithm;
  each(rows.total, [=] __device__(std::int64_t row) {
    const Offsets<3> o = rows(row);
    const T* g = gy + o.at[1];
    const T* v = y + o.at[2];
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i)
      total += device_convert<double>(g[i * gy_step]) * (logarithm ? 1.0 : device_convert<double>(v[i * y_step]));
    using C = Compute<T>;
    const C sum = device_convert<C>(total);
    for (std::int64_t i = 0; i < n; ++i) {
      const C gi = device_convert<C>(g[i * gy_step]), vi = device_convert<C>(v[i * y_step]);
      gx[o.at[0] + i * gx_step] = device_convert<T>(logarithm ? gi - std::exp(vi) * sum : vi * (gi - sum));
    }
  });
}

// ---- warps

constexpr int kRowWarps = 4;      // rows of a block
constexpr int kInRegisters = 32;  // numbers a lane holds

/// x and y are rows of n neighbours, `x_row` and `y_row` elements apart.
template <class T>  // float or bf16
__global__ void __launch_bounds__(kRowWarps* kWarp)
    softmax_warps_kernel(bool logarithm, std::int64_t rows, int n, StridedIndex<2> index, const T* x, T* y) {
  const int lane = static_cast<int>(threadIdx.x);
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.y; row < rows;
       row += static_cast<std::int64_t>(gridDim.x) * kRowWarps) {
    const Offsets<2> o = index(row);
    const T* from = x + o.at[1];
    T* to = y + o.at[0];
    float values[kInRegisters];
    float largest = -INFINITY;
#pragma unroll
    for (int k = 0; k < kInRegisters; ++k) {
      const int i = k * kWarp + lane;
      values[k] = i < n ? device_convert<float>(from[i]) : -INFINITY;
      largest = Larger{}(largest, values[k]);
    }
    largest = warp_max(largest);
    float total = 0;
#pragma unroll
    for (int k = 0; k < kInRegisters; ++k)
      if (k * kWarp + lane < n) total += expf(values[k] - largest);
    total = warp_sum(total);
    const float scale = 1 / total, log_total = logf(total);
#pragma unroll
    for (int k = 0; k < kInRegisters; ++k) {
      const int i = k * kWarp + lane;
      if (i < n)
        to[i] = device_convert<T>(logarithm ? values[k] - largest - log_total : expf(values[k] - largest) * scale);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kRowWarps* kWarp)
    softmax_backward_warps_kernel(bool logarithm, std::int64_t rows, int n, StridedIndex<3> index, const T* gy,
                                  const T* y, T* gx) {
  const int lane = static_cast<int>(threadIdx.x);
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowWarps + threadIdx.y; row < rows;
       row += static_cast<std::int64_t>(gridDim.x) * kRowWarps) {
    const Offsets<3> o = index(row);
    float total = 0;
    for (int i = lane; i < n; i += kWarp) {
      const auto g = device_convert<float>(gy[o.at[1] + i]);
      total += logarithm ? g : g * device_convert<float>(y[o.at[2] + i]);
    }
    total = warp_sum(total);
    for (int i = lane; i < n; i += kWarp) {
      const auto g = device_convert<float>(gy[o.at[1] + i]), v = device_convert<float>(y[o.at[2] + i]);
      gx[o.at[0] + i] = device_convert<T>(logarithm ? g - expf(v) * total : v * (g - total));
    }
  }
}

/// Calls fn(float{}) or fn(bf16{}): the types of the rung `warps`.
template <class Fn>
void warp_typed(DType dtype, Fn&& fn) {
  dtype == DType::f32 ? fn(float{}) : fn(bf16{});
}

bool is_warps(const SoftmaxProblem& p) {
  return p.dtype != DType::f64 && p.n >= 1 && p.n <= kInRegisters * kWarp &&
         (p.n == 1 || (p.x_step == 1 && p.y_step == 1));
}
void softmax_warps(const SoftmaxProblem& p) {
  const StridedIndex<2> rows(StridedLoop<2>(p.rows, {&p.y_rows, &p.x_rows}));
  if (rows.total == 0) return;
  warp_typed(p.dtype, [&]<class T>(T) {
    launch(softmax_warps_kernel<T>, blocks_for(rows.total, kRowWarps), dim3(kWarp, kRowWarps), 0, stream(), p.logarithm,
           rows.total, static_cast<int>(p.n), rows, static_cast<const T*>(p.x), static_cast<T*>(p.y));
  });
}
bool is_backward_warps(const SoftmaxGradProblem& p) {
  return p.dtype != DType::f64 && p.n >= 1 && p.n < (1 << 30) &&
         (p.n == 1 || (p.gy_step == 1 && p.y_step == 1 && p.gx_step == 1));
}
void softmax_backward_warps(const SoftmaxGradProblem& p) {
  const StridedIndex<3> rows(StridedLoop<3>(p.rows, {&p.gx_rows, &p.gy_rows, &p.y_rows}));
  if (rows.total == 0) return;
  warp_typed(p.dtype, [&]<class T>(T) {
    launch(softmax_backward_warps_kernel<T>, blocks_for(rows.total, kRowWarps), dim3(kWarp, kRowWarps), 0, stream(),
           p.logarithm, rows.total, static_cast<int>(p.n), rows, static_cast<const T*>(p.gy),
           static_cast<const T*>(p.y), static_cast<T*>(p.gx));
  });
}

}  // namespace

const Candidates<SoftmaxProblem>& softmax() {
  static const Candidates<SoftmaxProblem> list(
      "softmax", {{"warps", "a warp for each row, kept in registers; bound by memory", is_warps, softmax_warps},
                  {"naive", "a thread for each row", always<SoftmaxProblem>, [](const SoftmaxProblem& p) {
                     if (p.n > 0) dispatch_number("softmax", p.dtype, [&]<class T>(T) { softmax_naive<T>(p); });
                   }}});
  return list;
}

const Candidates<SoftmaxGradProblem>& softmax_backward() {
  static const Candidates<SoftmaxGradProblem> list(
      "softmax.backward",
      {{"warps", "a warp for each row; bound by memory", is_backward_warps, softmax_backward_warps},
       {"naive", "a thread for each row", always<SoftmaxGradProblem>, [](const SoftmaxGradProblem& p) {
          dispatch_number("softmax.backward", p.dtype, [&]<class T>(T) { softmax_backward_naive<T>(p); });
        }}});
  return list;
}

}  // namespace gradus::cuda
