// Dropout with sixteen Philox blocks drawn side by side: the rounds of core/philox.hpp, each step over all blocks.

#include "core/simd.hpp"
#include "ops/dropout/dropout_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

constexpr int kBlocks = 16, kWords = 4 * kBlocks;

/// Words of the blocks first … first + 15, in order.
void draw(Philox philox, std::uint64_t first, std::uint32_t* words) {
  std::uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    c0[i] = static_cast<std::uint32_t>(first + static_cast<std::uint64_t>(i));
    c1[i] = static_cast<std::uint32_t>((first + static_cast<std::uint64_t>(i)) >> 32);
    c2[i] = static_cast<std::uint32_t>(philox.stream);
    c3[i] = static_cast<std::uint32_t>(philox.stream >> 32);
  }
  std::uint32_t k0 = static_cast<std::uint32_t>(philox.key), k1 = static_cast<std::uint32_t>(philox.key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kBlocks; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0[i], p1 = std::uint64_t{0xCD9E8D57u} * c2[i];
      c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c1[i] = static_cast<std::uint32_t>(p1);
      c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c3[i] = static_cast<std::uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < kBlocks; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}

template <class T>
void elements(const DropoutProblem<T>& p, std::int64_t begin, std::int64_t end) {
  const T scale = static_cast<T>(p.scale);
  for (std::int64_t i = begin; i < end; i += kWords) {
    std::uint32_t words[kWords];
    draw(p.philox, static_cast<std::uint64_t>(i) / 4, words);
    const T* x = p.x + i;
    T* y = p.y + i;
    if (i + kWords <= end) {
      T v[kWords];
      for (int l = 0; l < kWords; ++l) v[l] = x[l] * scale;
      for (int l = 0; l < kWords; ++l) v[l] = words[l] >= p.threshold ? v[l] : T(0);
      for (int l = 0; l < kWords; ++l) y[l] = v[l];
    } else {
      for (std::int64_t l = 0; l < end - i; ++l) y[l] = words[l] >= p.threshold ? x[l] * scale : T(0);
    }
  }
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(DropoutSimd, dropout_simd, {.f32 = elements<float>, .f64 = elements<double>})
