// Cross-entropy on CUDA. Bound by launches for a classifier's batch, by memory for a segmentation's.
//   naive  one thread for each position, any strides, in f64: the definition
//   warps  a warp for each position of neighbouring logits: forward reads them once more for the sum, backward once

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/reduce.cuh"
#include "cuda/strided.cuh"
#include "ops/cross_entropy/cross_entropy_kernels.hpp"

namespace gradus::cuda {
namespace {

/// The target as a kernel's parameter.
template <class T>
struct Target {
  std::int64_t classes, ignore_index, step;
  double smoothing;
  const T* weight;
  const std::int64_t* labels;
  const T* probabilities;

  explicit Target(const CrossEntropyTarget& t)
      : classes(t.classes),
        ignore_index(t.ignore_index),
        step(t.step),
        smoothing(t.smoothing),
        weight(static_cast<const T*>(t.weight)),
        labels(t.labels),
        probabilities(static_cast<const T*>(t.probabilities)) {}
  bool hard() const { return labels && smoothing == 0; }
};

/// The weights q of one position's classes: q_c = every_c * w_c, and more at the label.
template <class T>
struct Row {
  const Target<T>& t;
  std::int64_t label;  // -1: ignored; not used with probabilities
  const T* probabilities;

  __device__ Row(const Target<T>& target, std::int64_t at) : t(target), label(-1), probabilities(nullptr) {
    if (t.labels) {
      if (t.labels[at] != t.ignore_index) label = t.labels[at];
    } else {
      probabilities = t.probabilities + at;
    }
  }
  __device__ bool ignored() const { return t.labels && label < 0; }
  __device__ double weight(std::int64_t c) const { return t.weight ? static_cast<double>(t.weight[c]) : 1.0; }
  __device__ double q(std::int64_t c) const {
    if (ignored()) return 0;
    const double hard = t.labels ? (c == label ? 1.0 : 0.0) : static_cast<double>(probabilities[c * t.step]);
    return weight(c) * ((1 - t.smoothing) * hard + t.smoothing / static_cast<double>(t.classes));
  }
};

// ---- naive

template <class T>
void forward_naive(const CrossEntropyProblem& p) {
  using C = Compute<T>;
  const StridedIndex<3> positions(StridedLoop<3>(p.positions, {&p.dense, &p.x_strides, &p.target.strides}));
  const Target<C> target(p.target);
  const T* x = static_cast<const T*>(p.x);
  C* loss = static_cast<C*>(p.loss);
  double* log_total = p.log_total;
  const std::int64_t step = p.x_step;
  each(positions.total, [=] __device__(std::int64_t i) {
    const Offsets<3> o = positions(i);
    const T* logits = x + o.at[1];
    const Row<C> row(target, o.at[2]);
    double largest = device_convert<double>(logits[0]), total = 0, sum = 0;
    for (std::int64_t c = 1; c < target.classes; ++c)
      largest = Larger{}(largest, device_convert<double>(logits[c * step]));
    for (std::int64_t c = 0; c < target.classes; ++c)
      total += std::exp(device_convert<double>(logits[c * step]) - largest);
    const double log_sum = std::log(total);
    for (std::int64_t c = 0; c < target.classes; ++c) {
      const double w = row.q(c);
      if (w != 0) sum += w * (log_sum - (device_convert<double>(logits[c * step]) - largest));  // 0 times infinity is 0
    }
    loss[o.at[0]] = device_convert<C>(sum);
    log_total[o.at[0]] = largest + log_sum;
  });
}

template <class T>
void backward_naive(const CrossEntropyGradProblem& p) {
  using C = Compute<T>;
  const StridedIndex<5> positions(
      StridedLoop<5>(p.positions, {&p.gx_strides, &p.x_strides, &p.target.strides, &p.gy_strides, &p.dense}));
  const Target<C> target(p.target);
  const T* x = static_cast<const T*>(p.x);
  const C* gy = static_cast<const C*>(p.gy);
  T* gx = static_cast<T*>(p.gx);
  const double* log_total = p.log_total;
  const double scale = p.scale;
  const std::int64_t x_step = p.x_step, gx_step = p.gx_step;
  each(positions.total, [=] __device__(std::int64_t i) {
    const Offsets<5> o = positions(i);
    const Row<C> row(target, o.at[2]);
    const double g = scale * device_convert<double>(gy[o.at[3]]);
    double total = 0;
    for (std::int64_t c = 0; c < target.classes; ++c) total += row.q(c);
    for (std::int64_t c = 0; c < target.classes; ++c) {
      const double soft = std::exp(device_convert<double>(x[o.at[1] + c * x_step]) - log_total[o.at[4]]);
      gx[o.at[0] + c * gx_step] = device_convert<T>(row.ignored() ? 0.0 : g * (total * soft - row.q(c)));
    }
  });
}

// ---- warps

constexpr int kWarps = 4;

template <class T>  // float or bf16
__global__ void __launch_bounds__(kWarp* kWarps)
    forward_warps_kernel(StridedIndex<3> positions, Target<float> target, const T* x, float* loss, double* log_total) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (i >= positions.total) return;  // a whole warp
  const Offsets<3> o = positions(i);
  const T* row_of_x = x + o.at[1];
  const auto logit = [=](std::int64_t c) { return device_convert<float>(row_of_x[c]); };
  const Row<float> row(target, o.at[2]);
  float largest = -INFINITY;
  for (std::int64_t c = lane; c < target.classes; c += kWarp) largest = Larger{}(largest, logit(c));
  largest = warp_max(largest);
  double total = 0;
  for (std::int64_t c = lane; c < target.classes; c += kWarp) total += static_cast<double>(expf(logit(c) - largest));
  const double log_sum = std::log(warp_sum(total));
  double sum = 0;
  for (std::int64_t c = lane; c < target.classes; c += kWarp) {
    const double w = row.q(c);
    if (w != 0) sum += w * (log_sum - static_cast<double>(logit(c) - largest));
  }
  sum = warp_sum(sum);
  if (lane == 0) {
    loss[o.at[0]] = static_cast<float>(sum);
    log_total[o.at[0]] = static_cast<double>(largest) + log_sum;
  }
}

template <class T>
__global__ void __launch_bounds__(kWarp* kWarps)
    backward_warps_kernel(StridedIndex<5> positions, Target<float> target, const T* x, const double* log_total,
                          const float* gy, double scale, T* gx) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (i >= positions.total) return;  // a whole warp
  const Offsets<5> o = positions(i);
  const Row<float> row(target, o.at[2]);
  double total = 0;
  for (std::int64_t c = lane; c < target.classes; c += kWarp) total += row.q(c);
  total = warp_sum(total);
  const double g = scale * device_convert<double>(gy[o.at[3]]);
  for (std::int64_t c = lane; c < target.classes; c += kWarp) {
    const auto soft =
        static_cast<double>(expf(static_cast<float>(device_convert<double>(x[o.at[1] + c]) - log_total[o.at[4]])));
    gx[o.at[0] + c] = device_convert<T>(row.ignored() ? 0.0 : g * (total * soft - row.q(c)));
  }
}

/// Calls fn(float{}) or fn(bf16{}): the types of the rung `warps`.
template <class Fn>
void warp_typed(DType dtype, Fn&& fn) {
  dtype == DType::f32 ? fn(float{}) : fn(bf16{});
}

bool is_warps(const CrossEntropyProblem& p) { return p.dtype != DType::f64 && p.x_step == 1; }
void forward_warps(const CrossEntropyProblem& p) {
  const StridedIndex<3> positions(StridedLoop<3>(p.positions, {&p.dense, &p.x_strides, &p.target.strides}));
  if (positions.total == 0) return;
  warp_typed(p.dtype, [&]<class T>(T) {
    launch(forward_warps_kernel<T>, blocks_for(positions.total, kWarps), dim3(kWarp, kWarps), 0, stream(), positions,
           Target<float>(p.target), static_cast<const T*>(p.x), static_cast<float*>(p.loss), p.log_total);
  });
}
bool is_backward_warps(const CrossEntropyGradProblem& p) {
  return p.dtype != DType::f64 && p.x_step == 1 && p.gx_step == 1;
}
void backward_warps(const CrossEntropyGradProblem& p) {
  const StridedIndex<5> positions(
      StridedLoop<5>(p.positions, {&p.gx_strides, &p.x_strides, &p.target.strides, &p.gy_strides, &p.dense}));
  if (positions.total == 0) return;
  warp_typed(p.dtype, [&]<class T>(T) {
    launch(backward_warps_kernel<T>, blocks_for(positions.total, kWarps), dim3(kWarp, kWarps), 0, stream(), positions,
           Target<float>(p.target), static_cast<const T*>(p.x), p.log_total, static_cast<const float*>(p.gy), p.scale,
           static_cast<T*>(p.gx));
  });
}

template <class T>
void weights(const CrossEntropyWeightsProblem& p) {
  const StridedIndex<2> positions(StridedLoop<2>(p.positions, {&p.q_strides, &p.target.strides}));
  const Target<T> target(p.target);
  T* q = static_cast<T*>(p.q);
  const std::int64_t step = p.q_step;
  each(positions.total, [=] __device__(std::int64_t i) {
    const Offsets<2> o = positions(i);
    const Row<T> row(target, o.at[1]);
    for (std::int64_t c = 0; c < target.classes; ++c) q[o.at[0] + c * step] = device_convert<T>(row.q(c));
  });
}

}  // namespace

const Candidates<CrossEntropyProblem>& cross_entropy() {
  static const Candidates<CrossEntropyProblem> list(
      "cross_entropy",
      {{"warps", "a warp for each position; bound by memory", is_warps, forward_warps},
       {"naive", "a thread for each position, in f64", always<CrossEntropyProblem>, [](const CrossEntropyProblem& p) {
          dispatch_number("cross_entropy", p.dtype, [&]<class T>(T) { forward_naive<T>(p); });
        }}});
  return list;
}

const Candidates<CrossEntropyGradProblem>& cross_entropy_backward() {
  static const Candidates<CrossEntropyGradProblem> list(
      "cross_entropy.backward",
      {{"warps", "a warp for each position; bound by memory", is_backward_warps, backward_warps},
       {"naive", "a thread for each position, in f64", always<CrossEntropyGradProblem>,
        [](const CrossEntropyGradProblem& p) {
          dispatch_number("cross_entropy.backward", p.dtype, [&]<class T>(T) { backward_naive<T>(p); });
        }}});
  return list;
}

void cross_entropy_weights(const CrossEntropyWeightsProblem& p) {
  dispatch_float("cross_entropy.weights", p.dtype, [&]<class T>(T) { weights<T>(p); });
}

}  // namespace gradus::cuda
