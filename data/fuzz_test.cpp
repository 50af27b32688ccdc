#include "data/archive_test_support.hpp"
#include "data/data_test_support.hpp"
#include "data/files.hpp"
#include "data/fuzz_support.hpp"
#include "data/random.hpp"

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

TEST_CASE("fuzz: changed PNG and PNM files decode or are FileErrors") {
  const TemporaryFolder folder;
  write_png(folder / "a.png", noise_image(9, 11));
  run_changed(fuzz_image, read_file(folder / "a.png"), 300);
  const std::string pnm = "P6 3 2 255 ";
  std::vector<std::uint8_t> bytes(pnm.begin(), pnm.end());
  bytes.resize(bytes.size() + 18, 100);
  run_changed(fuzz_image, bytes, 300);
}

TEST_CASE("fuzz: changed BMP, TGA, GIF and PSD headers decode or are FileErrors") {
  std::vector<std::uint8_t> bmp{'B', 'M', 70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40,
                                0,   0,   0,  2, 0, 0, 0, 2, 0, 0, 0,  1, 0, 24};
  bmp.resize(70);
  std::vector<std::uint8_t> tga{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 24, 0};
  tga.resize(30);
  std::vector<std::uint8_t> gif{'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 128, 0, 0, 0,  0, 0, 255, 255,
                                255, 44,  0,   0,   0,   0,   1, 0, 1, 0, 0,   2, 2, 68, 1, 0, 59};
  std::vector<std::uint8_t> psd{'8', 'B', 'P', 'S', 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 8, 0, 3};
  psd.resize(60);
  for (const auto* seed : {&bmp, &tga, &gif, &psd}) run_changed(fuzz_image, *seed, 200);
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
