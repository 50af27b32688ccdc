#pragma once
// Division by a number that stays the same: a multiplication and a shift, where a GPU's integer division is some twenty
// instructions. Granlund, Montgomery, "Division by invariant integers using multiplication", 1994.

#include <cstdint>

#include "cuda/device_code.cuh"

namespace gradus::cuda {

/// n / d and n % d for 0 <= n < 2^31, 1 <= d < 2^31.
class Divisor {
 public:
  __host__ __device__ Divisor() : Divisor(1) {}
  /// Costs a 64-bit division: once per launch on the host, or once per block.
  __host__ __device__ explicit Divisor(int d) : divisor_(d), shift_(31) {
    while (shift_ < 62 && (std::uint64_t{1} << (shift_ - 31)) < static_cast<std::uint64_t>(d)) ++shift_;
    const auto u = static_cast<std::uint64_t>(d);
    multiplier_ = static_cast<std::uint32_t>(((std::uint64_t{1} << shift_) + u - 1) / u);
  }
  __host__ __device__ int value() const { return divisor_; }

  __host__ __device__ friend int operator/(int n, const Divisor& d) {
    return static_cast<int>(static_cast<std::uint64_t>(static_cast<std::uint32_t>(n)) * d.multiplier_ >> d.shift_);
  }
  __host__ __device__ friend int operator%(int n, const Divisor& d) { return n - n / d * d.divisor_; }

 private:
  int divisor_;
  int shift_;
  std::uint32_t multiplier_;
};

}  // namespace gradus::cuda
