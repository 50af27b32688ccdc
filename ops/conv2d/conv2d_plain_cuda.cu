// The plain rungs of conv2d: naive, which is the definition, and direct.

#include "cuda/each.cuh"
#include "cuda/gemm_tiles.cuh"
#include "ops/conv2d/conv2d_epilogue.cuh"
#include "ops/conv2d/conv2d_rungs.cuh"

namespace gradus::cuda {
namespace {

// Acc is what they add up in.

template <class T, class Acc>
void forward_direct(const ConvForward& problem) {
  const ConvShape c = problem.shape;
  const T* x = static_cast<const T*>(problem.x);
  const T* w = static_cast<const T*>(problem.w);
  const Epilogue<T> epilogue(problem);
  T* y = static_cast<T*>(problem.y);
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  each(c.y_size(), [=] __device__(std::int64_t i) {
    const std::int64_t k = i % c.K, q = i / c.K % c.Q, p = i / c.K / c.Q % c.P, n = i / c.K / c.Q / c.P;
    Acc sum = 0;
    for (std::int64_t r = 0; r < c.R; ++r)
      for (std::int64_t s = 0; s < c.S; ++s) {
        const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
        const std::int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
        if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
        const T* xp = x + ((n * c.H + h) * c.W + v) * c.C + k / width * depth;
        const T* wp = w + ((k * c.R + r) * c.S + s) * depth;
        for (std::int64_t d = 0; d < depth; ++d) sum += device_convert<Acc>(xp[d]) * device_convert<Acc>(wp[d]);
      }
    y[i] = device_convert<T>(epilogue(sum, k, i));
  });
}

template <class T, class Acc>
void backward_input_direct(const ConvBackwardInput& problem) {
  const ConvShape c = problem.shape;
  const T* gy = static_cast<const T*>(problem.gy);
  const T* w = static_cast<const T*>(problem.w);
  T* gx = static_cast<T*>(problem.gx);
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  each(c.x_size(), [=] __device__(std::int64_t i) {
    const std::int64_t channel = i % c.C, v = i / c.C % c.W, h = i / c.C / c.W % c.H, n = i / c.C / c.W / c.H;
    const std::int64_t k0 = channel / depth * width;
    Acc sum = 0;
    for (std::int64_t r = 0; r < c.R; ++r)
      for (std::int64_t s = 0; s < c.S; ++s) {
        const std::int64_t ph = h + c.padding_h - r * c.dilation_h, qw = v + c.padding_w - s * c.dilation_w;
        if (ph < 0 || qw < 0 || ph % c.stride_h != 0 || qw % c.stride_w != 0) continue;
        const std::int64_t p = ph / c.stride_h, q = qw / c.stride_w;
        if (p >= c.P || q >= c.Q) continue;
        const T* gp = gy + ((n * c.P + p) * c.Q + q) * c.K;
        for (std::int64_t k = k0; k < k0 + width; ++k)
          sum +=
              device_convert<Acc>(gp[k]) * device_convert<Acc>(w[((k * c.R + r) * c.S + s) * depth + channel % depth]);
      }
    gx[i] = device_convert<T>(sum);
  });
}

template <class T>
void backward_weight_naive(const ConvBackwardWeight& problem) {
  const ConvShape c = problem.shape;
  const T* x = static_cast<const T*>(problem.x);
  const T* gy = static_cast<const T*>(problem.gy);
  T* gw = static_cast<T*>(problem.gw);
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  each(c.w_size(), [=] __device__(std::int64_t i) {
    const std::int64_t d = i % depth, s = i / depth % c.S, r = i / depth / c.S % c.R, k = i / depth / c.S / c.R;
    double sum = 0;
    for (std::int64_t n = 0; n < c.N; ++n)
      for (std::int64_t p = 0; p < c.P; ++p)
        for (std::int64_t q = 0; q < c.Q; ++q) {
          const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
          const std::int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
          if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
          sum += device_convert<double>(gy[((n * c.P + p) * c.Q + q) * c.K + k]) *
                 device_convert<double>(x[((n * c.H + h) * c.W + v) * c.C + k / width * depth + d]);
        }
    gw[i] = device_convert<T>(sum);
  });
}

constexpr int kWeightThreads = 256;

/// A block for each element of gw: its threads share the pixels.
template <class T>
__global__ void __launch_bounds__(kWeightThreads)
    backward_weight_direct_kernel(ConvShape c, const T* x, const T* gy, T* gw) {
  __shared__ double scratch[kWeightThreads / kWarp];
  const std::int64_t depth = c.C / c.groups, width = c.K / c.groups, pixels = c.N * c.P * c.Q;
  const std::int64_t i = blockIdx.x;
  const std::int64_t d = i % depth, s = i / depth % c.S, r = i / depth / c.S % c.R, k = i / depth / c.S / c.R;
  Sum<T> sum = 0;
  for (std::int64_t at = threadIdx.x; at < pixels; at += kWeightThreads) {
    const std::int64_t q = at % c.Q, p = at / c.Q % c.P, n = at / c.Q / c.P;
    const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
    const std::int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
    if (h >= 0 && h < c.H && v >= 0 && v < c.W)
      sum += device_convert<Sum<T>>(gy[at * c.K + k]) *
             device_convert<Sum<T>>(x[((n * c.H + h) * c.W + v) * c.C + k / width * depth + d]);
  }
  const double total = block_sum(static_cast<double>(sum), scratch);
  if (threadIdx.x == 0) gw[i] = device_convert<T>(total);
}

template <class T>
void backward_weight_direct(const ConvBackwardWeight& p) {
  launch(backward_weight_direct_kernel<T>, blocks_for(p.shape.w_size(), 1), dim3(kWeightThreads), 0, stream(), p.shape,
         static_cast<const T*>(p.x), static_cast<const T*>(p.gy), static_cast<T*>(p.gw));
}

}  // namespace

bool takes_naive(const ConvForward&) { return true; }
bool takes_naive(const ConvBackwardInput&) { return true; }
bool takes_naive(const ConvBackwardWeight&) { return true; }
void run_naive(const ConvForward& p) {
  typed(p, [&]<class T>(T) { forward_direct<T, double>(p); });
}
void run_naive(const ConvBackwardInput& p) {
  typed(p, [&]<class T>(T) { backward_input_direct<T, double>(p); });
}
void run_naive(const ConvBackwardWeight& p) {
  typed(p, [&]<class T>(T) { backward_weight_naive<T>(p); });
}

bool takes_direct(const ConvForward&) { return true; }
bool takes_direct(const ConvBackwardInput&) { return true; }
bool takes_direct(const ConvBackwardWeight&) { return true; }
void run_direct(const ConvForward& p) {
  typed(p, [&]<class T>(T) { forward_direct<T, Sum<T>>(p); });
}
void run_direct(const ConvBackwardInput& p) {
  typed(p, [&]<class T>(T) { backward_input_direct<T, Sum<T>>(p); });
}
void run_direct(const ConvBackwardWeight& p) {
  typed(p, [&]<class T>(T) { backward_weight_direct<T>(p); });
}

}  // namespace gradus::cuda
