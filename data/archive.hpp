#pragma once
// Unpacking .tar.gz, the form CIFAR is published in.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace gradus::data {

/// What a gzip member (RFC 1952) holds. FileError if it is not gzip, is cut short or damaged (its CRC-32 is checked),
/// or would be larger than `limit` bytes. `name` is for the message.
std::vector<std::uint8_t> gunzip(std::span<const std::uint8_t> bytes, const std::string& name,
                                 std::int64_t limit = std::int64_t{1} << 30);

struct TarEntry {
  std::string path;  // relative, without . and ..
  std::span<const std::uint8_t> bytes;
};

/// The regular files of a tar archive (POSIX ustar and GNU headers). FileError if a header's checksum is wrong, if it
/// is cut short, or if a path is absolute or climbs out of the folder. Folders, links and extended headers are passed
/// over.
std::vector<TarEntry> read_tar(std::span<const std::uint8_t> bytes, const std::string& name);

/// Unpacks the .tar.gz `archive` into `folder`, each file whole or not at all. FileError as above.
void unpack_tar_gz(const std::filesystem::path& archive, const std::filesystem::path& folder);

}  // namespace gradus::data
