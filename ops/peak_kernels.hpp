#pragma once
// The loops behind measure_flops() and measure_bandwidth(), compiled per instruction set.

#include <cstdint>

#include "core/isa.hpp"

namespace gradus {

struct PeakSimd {
  /// `rounds` rounds of independent fused multiply-adds; returns how many operations that was, `sink` keeps them alive.
  std::int64_t (*multiply_add)(std::int64_t rounds, float* sink);
  float (*sum)(const float* x, std::int64_t n);
};
GRADUS_ISA_TABLE(PeakSimd, peak_simd)

}  // namespace gradus
