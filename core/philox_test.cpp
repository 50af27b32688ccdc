#include "core/philox.hpp"

#include <doctest/doctest.h>

namespace gradus {

TEST_CASE("philox: gives the published words of Random123 (kat_vectors, philox4x32 with 10 rounds)") {
  struct Vector {
    std::uint32_t counter[4], key[2], expected[4];
  };
  const Vector vectors[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  const auto join = [](std::uint32_t low, std::uint32_t high) { return (std::uint64_t{high} << 32) | low; };
  for (const Vector& v : vectors) {
    const Philox philox{join(v.key[0], v.key[1]), join(v.counter[2], v.counter[3])};
    const Philox::Block block = philox.block(join(v.counter[0], v.counter[1]));
    for (int i = 0; i < 4; ++i) CHECK(block.word[i] == v.expected[i]);
  }
}

TEST_CASE("philox: word i is word i % 4 of block i / 4, and uniform is its upper 24 bits") {
  const Philox philox{12, 34};
  for (std::uint64_t i : {0, 1, 2, 3, 4, 1001}) {
    CHECK(philox.word(i) == philox.block(i / 4).word[i % 4]);
    CHECK(philox.uniform(i) == static_cast<float>(philox.word(i) >> 8) / 16777216.0f);
    CHECK(philox.uniform(i) < 1.0f);
  }
}

TEST_CASE("philox: another seed or stream gives other words") {
  CHECK(Philox{1, 0}.word(0) != Philox{2, 0}.word(0));
  CHECK(Philox{1, 0}.word(0) != Philox{1, 1}.word(0));
}

}  // namespace gradus
