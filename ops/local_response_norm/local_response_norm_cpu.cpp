// CPU kernels of local_response_norm.

#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/parallel.hpp"
#include "ops/local_response_norm/local_response_norm_kernels.hpp"

namespace gradus {
namespace {

using std::int64_t;

/// fn(j) for the channels of c's window.
template <class Fn>
void each_in(ChannelWindow window, int64_t c, int64_t channels, Fn&& fn) {
  for (int64_t j = std::max<int64_t>(0, c - window.before); j <= std::min(channels - 1, c + window.after); ++j) fn(j);
}

template <class T>
void reference(const LrnProblem<T>& p) {
  std::vector<double> d(static_cast<std::size_t>(p.channels));
  for (int64_t i = 0; i < p.pixels; ++i) {
    const auto x = [&](int64_t c) { return static_cast<double>(p.x[i * p.channels + c]); };
    for (int64_t c = 0; c < p.channels; ++c) {
      double squares = 0;
      each_in(p.window, c, p.channels, [&](int64_t j) { squares += x(j) * x(j); });
      d[static_cast<std::size_t>(c)] = p.k + p.scale * squares;
    }
    for (int64_t c = 0; c < p.channels; ++c) {
      const double f = std::pow(d[static_cast<std::size_t>(c)], -p.beta);
      double value = x(c) * f;
      if (p.gy != nullptr) {
        const auto gy = [&](int64_t j) { return static_cast<double>(p.gy[i * p.channels + j]); };
        double sum = 0;  // over the windows that contain c
        each_in(p.window.mirrored(), c, p.channels,
                [&](int64_t j) { sum += gy(j) * x(j) * std::pow(d[static_cast<std::size_t>(j)], -p.beta - 1); });
        value = gy(c) * f - 2 * p.scale * p.beta * x(c) * sum;
      }
      p.to[i * p.channels + c] = static_cast<T>(value);
    }
  }
}

template <class T>
void pixels(const LrnProblem<T>& p) {
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, p.channels));
  const auto reach = static_cast<std::size_t>(p.channels + p.window.before + p.window.after);
  parallel_ranges(p.pixels, grain, [&](int64_t begin, int64_t end) {
    const auto scratch = std::make_unique_for_overwrite<T[]>(4 * reach);
    if constexpr (std::is_same_v<T, float>)
      (p.gy == nullptr ? lrn_simd().forward : lrn_simd().backward)(p, begin, end, scratch.get());
    else
      (p.gy == nullptr ? lrn_simd().forward_f64 : lrn_simd().backward_f64)(p, begin, end, scratch.get());
  });
}

}  // namespace

template <class T>
const Candidates<LrnProblem<T>>& local_response_norm_candidates(bool backward) {
  using Problem = LrnProblem<T>;
  static const Candidates<Problem> all[] = {
      {"local_response_norm.forward",
       {{"pixels", "a pixel at a time, vectors along channels", always<Problem>, pixels<T>},
        {"reference", "one element at a time, in double", always<Problem>, reference<T>}}},
      {"local_response_norm.backward",
       {{"pixels", "a pixel at a time, vectors along channels", always<Problem>, pixels<T>},
        {"reference", "one element at a time, in double", always<Problem>, reference<T>}}}};
  return all[backward ? 1 : 0];
}

template <class T>
void channel_window_sum(const T* x, int64_t pixel_count, int64_t channels, ChannelWindow window, T* y) {
  for (int64_t i = 0; i < pixel_count; ++i)
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      each_in(window, c, channels, [&](int64_t j) { sum += static_cast<double>(x[i * channels + j]); });
      y[i * channels + c] = static_cast<T>(sum);
    }
}

#define GRADUS_INSTANTIATE(T)                                                     \
  template const Candidates<LrnProblem<T>>& local_response_norm_candidates(bool); \
  template void channel_window_sum(const T*, int64_t, int64_t, ChannelWindow, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus
