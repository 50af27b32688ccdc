#include "tools/train/events.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "nn/files/files_test_support.hpp"
#include "tests/harness/temporary_folder.hpp"

using namespace gradus;
using namespace gradus::program;
using files::read_all;

namespace {

/// The data of the records in a file; fails where a checksum is wrong.
std::vector<std::string> records(const std::string& path) {
  const std::string text = read_all(path);
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < bytes; ++i) n |= std::uint64_t{static_cast<unsigned char>(text[at + i])} << (8 * i);
    return n;
  };
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = number(at, 8);
    REQUIRE(at + length + 16 <= text.size());
    CHECK(number(at + 8, 4) == masked_crc32c(text.substr(at, 8)));
    all.push_back(text.substr(at + 12, length));
    CHECK(number(at + 12 + length, 4) == masked_crc32c(all.back()));
    at += length + 16;
  }
  return all;
}

}  // namespace

TEST_CASE("events: the checksum is CRC-32C, masked") {
  const auto unmasked = [](std::uint32_t masked) {
    const std::uint32_t rotated = masked - 0xa282ead8u;
    return rotated >> 17 | rotated << 15;
  };
  // The check value of the CRC catalogues, and RFC 3720, appendix B.4: 32 bytes of zeros.
  CHECK(unmasked(masked_crc32c("123456789")) == 0xe3069283u);
  CHECK(unmasked(masked_crc32c(std::string(32, '\0'))) == 0x8a9136aau);
}

TEST_CASE("events: a file begins with its version, and what was written after a checkpoint can be cut off") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "events.out.tfevents.x";
  std::int64_t bytes = 0;
  {
    EventFile file(path);
    file.scalar("loss", 7, 0.5);
    bytes = file.flush();
    file.scalar("loss", 8, 0.25);
    CHECK(file.flush() > bytes);
  }
  CHECK(records(path).size() == 3);
  EventFile again(path, bytes);
  again.scalar("loss", 9, 0.125);
  again.flush();
  const std::vector<std::string> all = records(path);
  REQUIRE(all.size() == 3);
  CHECK(all[0].find("brain.Event:2") != std::string::npos);
  // Event 1: step 7 (field 2), summary (field 5) of one value: tag (1) "loss", simple_value (2) 0.5.
  CHECK(all[1].substr(9) == std::string("\x10\x07\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f", 17));
  CHECK(all[2][10] == 9);
  EventFile other(path, 1'000'000);  // more than there is: a file of something else
  other.flush();
  CHECK(records(path).size() == 1);
}

TEST_CASE("histograms: count, moments, zeros, and bins from the least to the most") {
  const Histogram h = histogram_of(from_data({-1.0, 0.0, 0.0, 3.0, std::nan("")}, {5}));
  CHECK(h.count == 4);
  CHECK(h.zeros == 2);
  CHECK(h.not_finite == 1);
  CHECK(h.mean() == 0.5);
  CHECK(h.deviation() == doctest::Approx(1.5));
  CHECK(h.edge(0) == -1);
  CHECK(h.edge(Histogram::kBins) == 3);
  CHECK(h.counts[10] == 2);  // 0 lies a quarter of the way
  CHECK(h.counts.back() == 1);
  CHECK(histogram_of(full({3}, 2)).counts[0] == 3);
}
