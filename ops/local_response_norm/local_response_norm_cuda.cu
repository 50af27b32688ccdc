// local_response_norm on CUDA: one thread for each element reads its window of channels; neighbours read it too, from
// the cache. Forward is bound by memory; backward computes each window's divisor again and is bound by pow.
//   naive   the definition, in f64
//   direct  the same in the operands' own type, bf16 in f32

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "ops/local_response_norm/local_response_norm_kernels.hpp"

namespace gradus::cuda {
namespace {

/// k + scale * (sum of squares over c's window); `pixel` is the pixel's first channel.
template <class Acc, class T>
__device__ Acc divisor(const LrnProblem<T>& p, const T* pixel, std::int64_t c) {
  Acc squares = 0;
  for (std::int64_t j = c - p.window.before; j <= c + p.window.after; ++j)
    if (j >= 0 && j < p.channels) squares += device_convert<Acc>(pixel[j]) * device_convert<Acc>(pixel[j]);
  return device_convert<Acc>(p.k) + device_convert<Acc>(p.scale) * squares;
}

template <class Acc, class T>
void forward(const LrnProblem<T>& p) {
  each(p.pixels * p.channels, [=] __device__(std::int64_t e) {
    const std::int64_t c = e % p.channels;
    const Acc d = divisor<Acc>(p, p.x + (e - c), c);
    p.to[e] = device_convert<T>(device_convert<Acc>(p.x[e]) * std::pow(d, device_convert<Acc>(-p.beta)));
  });
}

template <class Acc, class T>
void backward(const LrnProblem<T>& p) {
  each(p.pixels * p.channels, [=] __device__(std::int64_t e) {
    const std::int64_t c = e % p.channels, first = e - c;
    Acc sum = 0;  // over the windows that contain c
    for (std::int64_t j = c - p.window.after; j <= c + p.window.before; ++j)
      if (j >= 0 && j < p.channels)
        sum += device_convert<Acc>(p.gy[first + j]) * device_convert<Acc>(p.x[first + j]) *
               std::pow(divisor<Acc>(p, p.x + first, j), device_convert<Acc>(-p.beta - 1));
    const Acc own =
        device_convert<Acc>(p.gy[e]) * std::pow(divisor<Acc>(p, p.x + first, c), device_convert<Acc>(-p.beta));
    p.to[e] = device_convert<T>(own - device_convert<Acc>(2 * p.scale * p.beta) * device_convert<Acc>(p.x[e]) * sum);
  });
}

}  // namespace

template <class T>
const Candidates<LrnProblem<T>>& local_response_norm(bool is_backward) {
  using Problem = LrnProblem<T>;
  static const Candidates<Problem> all[] = {
      {"local_response_norm.forward",
       {{"direct", "a thread for each element; bound by memory", always<Problem>, forward<Compute<T>, T>},
        {"naive", "the same in f64", always<Problem>, forward<double, T>}}},
      {"local_response_norm.backward",
       {{"direct", "a thread for each element; bound by pow", always<Problem>, backward<Compute<T>, T>},
        {"naive", "the same in f64", always<Problem>, backward<double, T>}}}};
  return all[is_backward ? 1 : 0];
}

template <class T>
void channel_window_sum(const T* x, std::int64_t pixels, std::int64_t channels, ChannelWindow window, T* y) {
  each(pixels * channels, [=] __device__(std::int64_t e) {
    const std::int64_t c = e % channels;
    double sum = 0;
    for (std::int64_t j = c - window.before; j <= c + window.after; ++j)
      if (j >= 0 && j < channels) sum += device_convert<double>(x[e - c + j]);
    y[e] = device_convert<T>(sum);
  });
}

#define GRADUS_INSTANTIATE(T)                                          \
  template const Candidates<LrnProblem<T>>& local_response_norm(bool); \
  template void channel_window_sum(const T*, std::int64_t, std::int64_t, ChannelWindow, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
GRADUS_INSTANTIATE(bf16)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::cuda
