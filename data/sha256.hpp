#pragma once
// SHA-256 (FIPS 180-4), to check what was downloaded.

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace gradus::data {

/// Takes bytes in pieces of any size; hex() ends it.
class Sha256 {
 public:
  void add(std::span<const std::uint8_t> bytes);
  /// The digest of all bytes added, 64 lower-case hexadecimal digits. To be called once.
  std::string hex();

 private:
  void block(const std::uint8_t* bytes);  // 64 of them

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> rest_{};
  std::uint64_t length_ = 0;
};

std::string sha256(std::span<const std::uint8_t> bytes);
/// Of a file, read in pieces. FileError if it cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace gradus::data
