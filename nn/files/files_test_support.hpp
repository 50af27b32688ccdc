#pragma once
// What the tests of this folder share.

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/tensor.hpp"
#include "nn/files/bytes.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/temporary_folder.hpp"

namespace gradus::files {

/// A committed file of tests/files/weights.
inline std::string sample(const std::string& name) { return test::source_dir() + "/tests/files/weights/" + name; }

inline std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), {}};
}

using test::TemporaryFolder;

/// The text of the FileError that `action` throws; any other exception passes through and fails the test.
template <class Action>
std::string file_error(Action&& action) {
  try {
    action();
  } catch (const FileError& e) {
    return e.what();
  }
  return "no error";
}

/// The ramp that tests/files/weights/make_files.py fills its tensors with.
inline std::vector<double> ramp(int count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = i / 4.0 - 1;
  return values;
}

/// Calls read(bytes) with `whole` cut at every length and with every byte changed in two ways: it has to return or to
/// throw FileError. Returns how many were refused.
template <class Read>
int survive_damage(const std::string& whole, Read&& read) {
  int refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    // a heap copy of just this size: a read beyond its end is seen by the address sanitizer
    const std::vector<std::uint8_t> exact(bytes.begin(), bytes.end());
    try {
      read(Bytes(exact));
    } catch (const FileError&) {
      ++refused;
    }
  };
  for (std::size_t n = 0; n < whole.size(); ++n) attempt(whole.substr(0, n));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      attempt(changed);
    }
  }
  return refused;
}

}  // namespace gradus::files
