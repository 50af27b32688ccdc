#include "ops/peak_kernels.hpp"

#include "core/simd.hpp"

namespace gradus::GRADUS_ISA {
namespace {

std::int64_t multiply_add(std::int64_t rounds, float* sink) {
  // As many chains as hide the latency of a fused multiply-add on two ports, and fit the registers.
  constexpr int kChains = 12;
  VecN chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  const VecN a = broadcast(0.999f), b = broadcast(0.001f);
  for (std::int64_t r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * a + b;
  VecN total = chain[0];
  for (int i = 1; i < kChains; ++i) total += chain[i];
  *sink = sum_lanes(total);
  return rounds * kChains * kLanes * 2;
}

float sum(const float* x, std::int64_t n) {
  constexpr int kChains = 8;
  VecN chain[kChains] = {};
  for (std::int64_t i = 0; i + kChains * kLanes <= n; i += kChains * kLanes)
    for (int k = 0; k < kChains; ++k) chain[k] += load(x + i + k * kLanes);
  for (int k = 1; k < kChains; ++k) chain[0] += chain[k];
  return sum_lanes(chain[0]);
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(PeakSimd, peak_simd, {.multiply_add = multiply_add, .sum = sum})
