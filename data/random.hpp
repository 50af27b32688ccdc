#pragma once
// Random numbers for data: a stream per purpose, so that what happens to a sample depends on (seed, epoch, index) alone
// and never on which worker treats it, or when.

#include <cmath>
#include <cstdint>

#include "core/philox.hpp"

namespace gradus::data {

/// What a stream is for. Streams of different purposes are independent under the same seed, and independent of those
/// that a Generator (core/random.hpp) hands out.
enum class Purpose : std::uint32_t { kOrder = 1, kAugment = 2, kMix = 3, kDrawing = 4 };

/// The stream of random numbers named by (seed, purpose, epoch, index), epoch and index below 2^32. Two streams of the
/// same name give the same numbers.
class Random {
 public:
  Random(std::uint64_t seed, Purpose purpose, std::uint64_t epoch, std::uint64_t index)
      : philox_{seed, static_cast<std::uint64_t>(purpose) << 32 | (epoch & 0xffffffffu)}, next_(index << 32) {}

  /// 32 random bits.
  std::uint32_t bits() {
    if (used_ == 4) {
      block_ = philox_.block(next_++);
      used_ = 0;
    }
    return block_.word[used_++];
  }
  /// Uniform in [0, 1): 24 bits, so that float holds it exactly.
  float uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }
  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n-1}, n > 0. The bias of multiply-and-shift is below n / 2^32.
  std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(bits()) * n >> 32);
  }
  /// True with probability p.
  bool chance(float p) { return uniform() < p; }
  /// Standard normal (Box and Muller 1958), from two uniforms.
  float normal() {
    const float u = 1.0f - uniform();  // (0, 1]: its logarithm is finite
    return std::sqrt(-2.0f * std::log(u)) * std::cos(6.2831853f * uniform());
  }

 private:
  Philox philox_;
  std::uint64_t next_;  // the index above, the place in the stream below
  Philox::Block block_{};
  int used_ = 4;
};

}  // namespace gradus::data
