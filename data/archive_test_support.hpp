#pragma once
// Makes small archives for the tests.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace gradus::data {

/// A ustar archive of regular files.
inline std::vector<std::uint8_t> tar(const std::vector<std::pair<std::string, std::vector<std::uint8_t>>>& files) {
  std::vector<std::uint8_t> out;
  for (const auto& [name, bytes] : files) {
    std::vector<std::uint8_t> header(512, 0);
    const auto put = [&](std::size_t at, const std::string& text) {
      std::copy(text.begin(), text.end(), header.begin() + at);
    };
    put(0, name), put(100, "0000644"), put(124, fmt::format("{:011o}", bytes.size())), put(156, "0");
    put(257, std::string("ustar\0"
                         "00",
                         8)),
        put(148, "        ");
    int sum = 0;
    for (const std::uint8_t byte : header) sum += byte;
    put(148, fmt::format("{:06o}", sum)), header[154] = 0;
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), bytes.begin(), bytes.end());
    out.resize((out.size() + 511) / 512 * 512);
  }
  out.resize(out.size() + 1024);
  return out;
}

/// A gzip member of stored (uncompressed) blocks.
inline std::vector<std::uint8_t> gzip(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::uint8_t> out{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
  for (std::size_t at = 0; at < bytes.size() || at == 0;) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - at, 0xffff);
    out.push_back(at + n == bytes.size());
    for (const std::size_t v : {n, ~n}) out.push_back(v & 255), out.push_back(v >> 8 & 255);
    out.insert(out.end(), bytes.begin() + at, bytes.begin() + at + n);
    at += n;
    if (n == 0) break;
  }
  std::uint32_t crc = ~0u;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int k = 0; k < 8; ++k) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  crc = ~crc;
  for (const std::uint32_t v : {crc, static_cast<std::uint32_t>(bytes.size())})
    for (int k = 0; k < 32; k += 8) out.push_back(static_cast<std::uint8_t>(v >> k));
  return out;
}

}  // namespace gradus::data
