#pragma once
// Kernels of local_response_norm. x is [pixels, channels] in memory. Forward reads x and writes y; backward reads x and
// gy and writes gx. Bound by memory if d^-beta is cheap: for beta 0.75 it is two square roots and a division, else pow.

#include <cstdint>

#include "core/isa.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// A window: channels c - before … c + after.
struct ChannelWindow {
  std::int64_t before, after;
  ChannelWindow mirrored() const { return {after, before}; }
};

template <class T>
struct LrnProblem {
  std::int64_t pixels, channels;
  ChannelWindow window;
  double scale, beta, k;  // d = k + scale * (sum of squares)
  const T* x;
  const T* gy;  // null: forward
  T* to;        // y, or gx
};
template <class T>
const Candidates<LrnProblem<T>>& local_response_norm_candidates(bool backward);

/// y[c] = sum of x over c's window, a linear operator (its transpose has the mirrored window).
template <class T>
void channel_window_sum(const T* x, std::int64_t pixels, std::int64_t channels, ChannelWindow window, T* y);

namespace cuda {
template <class T>
const Candidates<LrnProblem<T>>& local_response_norm(bool backward);
template <class T>
void channel_window_sum(const T* x, std::int64_t pixels, std::int64_t channels, ChannelWindow window, T* y);
}  // namespace cuda

struct LrnSimd {
  /// Pixels begin … end-1. `scratch` holds 4 * (channels + before + after).
  void (*forward)(const LrnProblem<float>& p, std::int64_t begin, std::int64_t end, float* scratch);
  void (*backward)(const LrnProblem<float>& p, std::int64_t begin, std::int64_t end, float* scratch);
  void (*forward_f64)(const LrnProblem<double>& p, std::int64_t begin, std::int64_t end, double* scratch);
  void (*backward_f64)(const LrnProblem<double>& p, std::int64_t begin, std::int64_t end, double* scratch);
};
GRADUS_ISA_TABLE(LrnSimd, lrn_simd)

}  // namespace gradus
