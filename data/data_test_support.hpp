#pragma once
// What the tests of this folder share.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "core/error.hpp"
#include "data/image.hpp"
#include "tests/harness/temporary_folder.hpp"

namespace gradus::data {

using test::TemporaryFolder;

inline void write_bytes(const std::filesystem::path& file, std::span<const std::uint8_t> bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
  REQUIRE(out.good());
}
inline void write_text(const std::filesystem::path& file, const std::string& text) {
  write_bytes(file, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// A picture of pseudo-random bytes (a linear congruential generator's top bytes, easily had in any language).
inline Image noise_image(int height, int width, std::uint32_t seed = 1) {
  Image image;
  image.resize(height, width);
  for (std::uint8_t& value : image.pixels) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<std::uint8_t>(seed >> 24);
  }
  return image;
}

/// The text of the E that `action` throws; "" if it throws nothing.
template <class E, class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gradus::data
