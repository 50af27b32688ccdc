#pragma once
// The warp's matrix instructions and asynchronous copies, for cuda/ptx.cuh. All threads of a warp must come to ldmatrix
// and mma together.
//
// How sums round. A tensor core multiplies exactly and adds the products and the accumulator with the smaller terms
// shifted out, then truncates (Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores"). Here the sum of one
// instruction is formed in double and truncated once to f32: the bias towards zero is there, the bits are not a given
// GPU's.

#include <bit>
#include <cmath>
#include <cstdint>

#include "cuda/simt/thread.hpp"

namespace gradus::simt {

/// d as a float, dropping what does not fit.
inline float truncated(double d) {
  const float f = static_cast<float>(d);
  const bool rounded_up = std::fabs(static_cast<double>(f)) > std::fabs(d) && std::fabs(f) < HUGE_VALF;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(f) - (rounded_up ? 1u : 0u));
}

enum class MmaKind : unsigned char { bf16_m16n8k16, f16_m16n8k16, tf32_m16n8k8 };

void mma(MmaKind kind, float* d, const std::uint32_t* a, const std::uint32_t* b, const Where& where);
void ldmatrix(int matrices, bool transposed, std::uint32_t* registers, const void* row, const Where& where);

/// Notes a copy of `bytes` to shared memory, of which `source_bytes` are read and the rest is zero. It is done by the
/// cp_async_wait that waits for its group and not before, so that reading too early reads what was there.
void cp_async(void* shared, const void* global, int bytes, int source_bytes, const Where& where);
void cp_async_commit();
void cp_async_wait(int groups_left, const Where& where);  // -1: all, committed or not

}  // namespace gradus::simt
