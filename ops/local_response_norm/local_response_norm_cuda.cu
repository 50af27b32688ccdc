// local_response_norm on CUDA: one thread for each element reads its window of channels; neighbours read it too, from
// the cache. Forward is bound by memory; backward computes each window's divisor again and is bound by pow.
//   naive   the definition, in f64
//   direct  the same in the operands' own type

#include "cuda/each.cuh"
#include "ops/local_response_norm/local_response_norm_kernels.hpp"

namespace gradus::cuda {
namespace {

/// k + scale * (sum of squares over c's window); `pixel` is the pixel's first channel.
template <class Acc, class T>
__device__ Acc divisor(const LrnProblem<T>& p, const T* pixel, std::int64_t c) {
  Acc squares = 0;
  for (std::int64_t j = c - p.window.before; j <= c + p.window.after; ++j)
    if (j >= 0 && j < p.channels) squares += static_cast<Acc>(pixel[j]) * static_cast<Acc>(pixel[j]);
  return static_cast<Acc>(p.k) + static_cast<Acc>(p.scale) * squares;
}

template <class Acc, class T>
void forward(const LrnProblem<T>& p) {
  each(p.pixels * p.channels, [=] __device__(std::int64_t e) {
    const std::int64_t c = e % p.channels;
    const Acc d = divisor<Acc>(p, p.x + (e - c), c);
    p.to[e] = static_cast<T>(static_cast<Acc>(p.x[e]) * std::pow(d, static_cast<Acc>(-p.beta)));
  });
}

template <class Acc, class T>
void backward(const LrnProblem<T>& p) {
  each(p.pixels * p.channels, [=] __device__(std::int64_t e) {
    const std::int64_t c = e % p.channels, first = e - c;
    Acc sum = 0;  // over the windows that contain c
    for (std::int64_t j = c - p.window.after; j <= c + p.window.before; ++j)
      if (j >= 0 && j < p.channels)
        sum += static_cast<Acc>(p.gy[first + j]) * static_cast<Acc>(p.x[first + j]) *
               std::pow(divisor<Acc>(p, p.x + first, j), static_cast<Acc>(-p.beta - 1));
    const Acc own = static_cast<Acc>(p.gy[e]) * std::pow(divisor<Acc>(p, p.x + first, c), static_cast<Acc>(-p.beta));
    p.to[e] = static_cast<T>(own - static_cast<Acc>(2 * p.scale * p.beta) * static_cast<Acc>(p.x[e]) * sum);
  });
}

}  // namespace

template <class T>
const Candidates<LrnProblem<T>>& local_response_norm(bool is_backward) {
  using Problem = LrnProblem<T>;
  static const Candidates<Problem> all[] = {
      {"local_response_norm.forward",
       {{"direct", "a thread for each element; bound by memory", always<Problem>, forward<T, T>},
        {"naive", "the same in f64", always<Problem>, forward<double, T>}}},
      {"local_response_norm.backward",
       {{"direct", "a thread for each element; bound by pow", always<Problem>, backward<T, T>},
        {"naive", "the same in f64", always<Problem>, backward<double, T>}}}};
  return all[is_backward ? 1 : 0];
}

template <class T>
void channel_window_sum(const T* x, std::int64_t pixels, std::int64_t channels, ChannelWindow window, T* y) {
  each(pixels * channels, [=] __device__(std::int64_t e) {
    const std::int64_t c = e % channels;
    double sum = 0;
    for (std::int64_t j = c - window.before; j <= c + window.after; ++j)
      if (j >= 0 && j < channels) sum += static_cast<double>(x[e - c + j]);
    y[e] = static_cast<T>(sum);
  });
}

#define GRADUS_INSTANTIATE(T)                                          \
  template const Candidates<LrnProblem<T>>& local_response_norm(bool); \
  template void channel_window_sum(const T*, std::int64_t, std::int64_t, ChannelWindow, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::cuda
