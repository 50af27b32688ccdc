#include "ops/peak.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/parallel.hpp"
#include "core/tensor.hpp"
#include "ops/peak_kernels.hpp"

namespace gradus {
namespace {

/// Seconds that fn() takes, the best of `tries`.
template <class Fn>
double best_of(int tries, Fn&& fn) {
  double best = 1e30;
  for (int i = 0; i < tries; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    fn();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

double measure_flops() {
  constexpr std::int64_t kRounds = 2'000'000;
  const int threads = num_threads();
  std::vector<float> sinks(static_cast<std::size_t>(threads) * 64);  // a cache line and more apart
  std::vector<std::int64_t> operations(static_cast<std::size_t>(threads));
  const double seconds = best_of(3, [&] {
    parallel_for(threads, [&](std::int64_t t) {
      const auto i = static_cast<std::size_t>(t);
      operations[i] = peak_simd().multiply_add(kRounds, &sinks[i * 64]);
    });
  });
  return static_cast<double>(operations[0]) * threads / seconds * 1e-9;
}

Bandwidth measure_bandwidth() {
  constexpr std::int64_t kFloats = 64 << 20, kChunk = 1 << 18;  // 256 MiB, more than any cache here
  const Tensor x = zeros({kFloats}), y = zeros({kFloats});
  const float* from = x.data<float>();
  float* to = y.data<float>();
  std::vector<float> sums(kFloats / kChunk);
  const double read = best_of(3, [&] {
    parallel_for(kFloats / kChunk, [&](std::int64_t c) {
      sums[static_cast<std::size_t>(c)] = peak_simd().sum(from + c * kChunk, kChunk);
    });
  });
  const double copy = best_of(3, [&] {
    parallel_for(kFloats / kChunk,
                 [&](std::int64_t c) { std::memcpy(to + c * kChunk, from + c * kChunk, kChunk * sizeof(float)); });
  });
  constexpr double kBytes = static_cast<double>(kFloats) * sizeof(float);
  return {.read = kBytes / read * 1e-9, .copy = 2 * kBytes / copy * 1e-9};
}

}  // namespace gradus
