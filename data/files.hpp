#pragma once
// Whole files and folders, with errors that name them.

#include <cstdint>
#include <filesystem>
#include <vector>

namespace gradus::data {

/// All bytes of a file. FileError if it is missing, no regular file, unreadable, or larger than `limit` bytes.
std::vector<std::uint8_t> read_file(const std::filesystem::path& file, std::int64_t limit = std::int64_t{1} << 32);

/// Makes a folder and those above it where they are missing. FileError if it cannot be.
void make_folder(const std::filesystem::path& folder);

}  // namespace gradus::data
