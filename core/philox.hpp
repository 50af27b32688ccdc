#pragma once
// Philox 4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): random bits as a pure function of
// a key and a counter. Any element of any stream is computed on its own, so the same numbers come out whatever the
// number of threads and on every device, and a dropout mask is drawn again in backward instead of being kept.

#include <array>
#include <cstdint>

#if defined(__CUDACC__)
#define GRADUS_HD __host__ __device__
#else
#define GRADUS_HD
#endif

namespace gradus {

struct Philox {
  std::uint64_t key = 0;     // the seed
  std::uint64_t stream = 0;  // which sequence under that seed

  struct Block {
    std::uint32_t word[4];
  };

  /// Block `i` of the stream: four independent 32-bit words.
  GRADUS_HD Block block(std::uint64_t i) const {
    std::uint32_t c0 = static_cast<std::uint32_t>(i), c1 = static_cast<std::uint32_t>(i >> 32);
    std::uint32_t c2 = static_cast<std::uint32_t>(stream), c3 = static_cast<std::uint32_t>(stream >> 32);
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0, p1 = std::uint64_t{0xCD9E8D57u} * c2;
      const std::uint32_t h0 = static_cast<std::uint32_t>(p0 >> 32), h1 = static_cast<std::uint32_t>(p1 >> 32);
      c0 = h1 ^ c1 ^ k0;
      c1 = static_cast<std::uint32_t>(p1);
      c2 = h0 ^ c3 ^ k1;
      c3 = static_cast<std::uint32_t>(p0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
  }

  /// Word `i` of the stream.
  GRADUS_HD std::uint32_t word(std::uint64_t i) const { return block(i / 4).word[i % 4]; }
  /// Uniform in [0, 1), 24 bits: exact in f32.
  GRADUS_HD float uniform(std::uint64_t i) const { return static_cast<float>(word(i) >> 8) * 0x1p-24f; }
};

}  // namespace gradus
