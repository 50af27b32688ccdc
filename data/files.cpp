#include "data/files.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/error.hpp"

namespace gradus::data {
namespace fs = std::filesystem;

std::vector<std::uint8_t> read_file(const fs::path& file, std::int64_t limit) {
  std::error_code error;
  check<FileError>(fs::exists(file, error), "{}: there is no such file", file.string());
  check<FileError>(fs::is_regular_file(file, error), "{}: is not a regular file", file.string());
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  check<FileError>(in.good(), "{}: cannot be read ({})", file.string(), std::strerror(errno));
  const std::int64_t size = in.tellg();
  check<FileError>(size >= 0 && size <= limit, "{}: {} bytes are more than the {} allowed", file.string(), size, limit);
  std::vector<std::uint8_t> bytes(size);
  in.seekg(0);
  check<FileError>(size == 0 || in.read(reinterpret_cast<char*>(bytes.data()), size).good(),
                   "{}: cannot be read to its end", file.string());
  return bytes;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check<FileError>(fs::is_directory(folder, error), "{}: the folder cannot be made", folder.string());
}

}  // namespace gradus::data
