#pragma once
// What the fuzz targets of this folder run, shared with the test that runs it over a few changed inputs. Each reads
// bytes that come from strangers and may return or throw FileError; anything else is a finding.

#include <cstdint>
#include <span>

#include "core/error.hpp"
#include "data/archive.hpp"
#include "data/cifar.hpp"
#include "data/image.hpp"

namespace gradus::data {

inline void fuzz_image(std::span<const std::uint8_t> bytes) {
  try {
    Image image;
    constexpr std::int64_t kMaxFuzzPixels = 1
                                            << 20;  // a few bytes may be a large picture, which is slow but no finding
    decode_image(bytes, "fuzz", image, kMaxFuzzPixels);
  } catch (const FileError&) {  // the right answer to a bad file
  }
}

inline void fuzz_cifar(std::span<const std::uint8_t> bytes) {
  for (const Cifar kind : {Cifar::k10, Cifar::k100}) try {
      std::vector<std::uint8_t> pixels;
      std::vector<std::int64_t> labels;
      parse_cifar(bytes, "fuzz", kind, kind == Cifar::k10 ? 10 : 100, pixels, labels);
      if (pixels.size() != labels.size() * 3072) __builtin_trap();
    } catch (const FileError&) {  // the right answer to a bad file
    }
}

inline void fuzz_archive(std::span<const std::uint8_t> bytes) {
  try {
    read_tar(bytes, "fuzz");
  } catch (const FileError&) {  // the right answer to a bad file
  }
  try {
    constexpr std::int64_t kLimit = 1 << 20;
    read_tar(gunzip(bytes, "fuzz", kLimit), "fuzz");
  } catch (const FileError&) {  // the same
  }
}

}  // namespace gradus::data
