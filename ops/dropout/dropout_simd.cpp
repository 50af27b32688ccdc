// Dropout with several Philox blocks drawn side by side: the rounds of core/philox.hpp, each step over a vector of
// them.

#include "core/simd.hpp"
#include "ops/dropout/dropout_kernels.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace gradus::GRADUS_ISA {
namespace {

constexpr int kBlocks = 16, kWords = 4 * kBlocks;
constexpr int kHalf = kLanes / 2;  // 64-bit lanes of a native vector
constexpr int kGroups = kBlocks / kHalf;

/// One 32-bit number to a 64-bit lane, so that a lane holds the whole product of two.
typedef std::uint64_t Wide __attribute__((vector_size(kHalf * sizeof(std::uint64_t))));

inline Wide low(Wide v) { return v & std::uint64_t{0xffffffff}; }
/// The products of the lanes' lower halves.
inline Wide product(Wide a, Wide b) {
#if defined(__AVX512F__)
  // Masked with all lanes on: the plain form makes GCC 12 warn about its own header.
  return reinterpret_cast<Wide>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return low(a) * low(b);
#endif
}

/// Words of the blocks first … first + 15, in order.
void draw(Philox philox, std::uint64_t first, std::uint32_t* words) {
  for (int group = 0; group < kGroups; ++group) {
    Wide index;
    for (int i = 0; i < kHalf; ++i) index[i] = first + static_cast<std::uint64_t>(group * kHalf + i);
    // The upper halves of c0 … c3 may hold rubbish until the end: products read the lower ones alone.
    Wide c0 = index, c1 = index >> 32, c2 = Wide{} + philox.stream, c3 = c2 >> 32;
    Wide k0 = Wide{} + philox.key, k1 = k0 >> 32;
    for (int round = 0; round < 10; ++round) {
      const Wide p0 = product(c0, Wide{} + 0xD2511F53u), p1 = product(c2, Wide{} + 0xCD9E8D57u);
      c0 = (p1 >> 32) ^ c1 ^ k0;
      c1 = p1;
      c2 = (p0 >> 32) ^ c3 ^ k1;
      c3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    const Wide pairs[2] = {low(c0) | c1 << 32, low(c2) | c3 << 32};
    for (int i = 0; i < kHalf; ++i) {
      const std::uint64_t pair[2] = {pairs[0][i], pairs[1][i]};
      std::memcpy(words + 4 * (group * kHalf + i), pair, sizeof pair);  // little-endian, like every set there is here
    }
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
