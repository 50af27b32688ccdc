#include "data/archive_test_support.hpp"
#include "data/data_test_support.hpp"
#include "data/files.hpp"
#include "data/fuzz_support.hpp"
#include "data/random.hpp"
#include "tests/harness/paths.hpp"

namespace gradus::data {
namespace {

/// Runs `target` over `seed`, over every beginning of it in steps, and over copies with a few bytes changed.
template <class Target>
void run_changed(Target target, const std::vector<std::uint8_t>& seed, int rounds) {
  target(seed);
  for (std::size_t n = 0; n < seed.size(); n += 1 + seed.size() / 50) target(std::span(seed).first(n));
  for (int round = 0; round < rounds; ++round) {
    Random random(5, Purpose::kDrawing, 0, static_cast<std::uint64_t>(round));
    std::vector<std::uint8_t> bytes = seed;
    for (std::uint32_t k = 0, n = 1 + random.below(4); k < n; ++k) {
      const auto near_start = random.chance(0.5f) ? std::min<std::size_t>(64, bytes.size()) : bytes.size();
      bytes[random.below(static_cast<std::uint32_t>(near_start))] = static_cast<std::uint8_t>(random.bits());
    }
    target(bytes);
  }
}

}  // namespace

TEST_CASE("fuzz: changed pictures of every kind decode or are FileErrors") {
  int seeds = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() + "/tests/fuzz/image")) {
    CAPTURE(entry.path());
    const std::vector<std::uint8_t> bytes = read_file(entry.path());
    Image image;
    if (entry.path().has_extension())
      decode_image(bytes, entry.path().string(), image);  // what libFuzzer adds has none
    run_changed(fuzz_image, bytes, 100);
    ++seeds;
  }
  CHECK(seeds >= 12);
}

TEST_CASE("fuzz: changed CIFAR files are read or are FileErrors") {
  run_changed(fuzz_cifar, std::vector<std::uint8_t>(2 * 3073, 5), 50);
  run_changed(fuzz_cifar, std::vector<std::uint8_t>(2 * 3074, 5), 50);
}

TEST_CASE("fuzz: changed archives are read or are FileErrors") {
  const std::vector<std::uint8_t> archive = tar({{"a", {1, 2, 3}}, {"b/c", std::vector<std::uint8_t>(600, 4)}});
  run_changed(fuzz_archive, archive, 200);
  run_changed(fuzz_archive, gzip(archive), 200);
}

}  // namespace gradus::data
