#include "data/archive.hpp"

#include <array>
#include <cstring>

#include "core/error.hpp"
#include "data/files.hpp"
#include "nn/files/atomic_file.hpp"

// stb_image's inflate: the pictures need it anyway, so no library more.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace gradus::data {
namespace {

constexpr std::size_t kBlock = 512;  // of a tar archive

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int k = 0; k < 8; ++k) t[i] = (t[i] & 1) != 0 ? 0xedb88320u ^ t[i] >> 1 : t[i] >> 1;
    }
    return t;
  }();
  std::uint32_t crc = 0xffffffffu;
  for (const std::uint8_t byte : bytes) crc = table[(crc ^ byte) & 255] ^ crc >> 8;
  return ~crc;
}

std::uint32_t little32(const std::uint8_t* p) {
  return p[0] | std::uint32_t{p[1]} << 8 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[3]} << 24;
}

/// A number in octal digits that ends at a blank, a zero byte or the field's end; -1 if it is none.
std::int64_t octal(std::span<const std::uint8_t> field) {
  std::int64_t value = 0;
  std::size_t i = 0;
  while (i < field.size() && field[i] == ' ') ++i;
  for (; i < field.size() && field[i] != ' ' && field[i] != 0; ++i) {
    if (field[i] < '0' || field[i] > '7') return -1;
    value = value * 8 + (field[i] - '0');
  }
  return value;
}

std::string text(std::span<const std::uint8_t> field) {
  const auto* begin = reinterpret_cast<const char*>(field.data());
  return {begin, strnlen(begin, field.size())};
}

/// `path` without "." parts; empty if it is absolute or has ".." in it.
std::string safe_path(const std::string& path) {
  std::filesystem::path result;
  for (const std::filesystem::path& part : std::filesystem::path(path)) {
    if (part == ".." || part.is_absolute()) return "";
    if (part != "." && !part.empty()) result /= part;
  }
  return result.string();
}

}  // namespace

std::vector<std::uint8_t> gunzip(std::span<const std::uint8_t> bytes, const std::string& name, std::int64_t limit) {
  constexpr std::size_t kHeader = 10, kTrailer = 8;
  check<FileError>(bytes.size() >= kHeader + kTrailer && bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8,
                   "{}: is not a gzip file", name);
  check<FileError>(bytes.size() < 0x7fffffff, "{}: {} bytes are too many", name, bytes.size());
  const int flags = bytes[3];
  std::size_t at = kHeader;
  const std::size_t end = bytes.size() - kTrailer;
  if ((flags & 4) != 0 && at + 2 <= end) at += 2 + bytes[at] + 256u * bytes[at + 1];  // extra field
  for (const int flag : {8, 16})  // the file's name, a comment: text that ends with a zero
    if ((flags & flag) != 0) {
      while (at < end && bytes[at] != 0) ++at;
      ++at;
    }
  if ((flags & 2) != 0) at += 2;  // checksum of the header
  check<FileError>(at < end, "{}: the gzip header is cut short", name);

  const std::int64_t size = little32(bytes.data() + end + 4);
  check<FileError>(size <= limit, "{}: would unpack to {} bytes, more than the {} allowed", name, size, limit);
  constexpr std::int64_t kBestRatio = 1032;  // of deflate: 258 bytes from two bits
  check<FileError>(size <= std::ssize(bytes) * kBestRatio, "{}: the gzip data are cut short or damaged", name);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(size) + 1);  // one more, to see what is too long
  const int n = stbi_zlib_decode_noheader_buffer(reinterpret_cast<char*>(out.data()), static_cast<int>(out.size()),
                                                 reinterpret_cast<const char*>(bytes.data() + at),
                                                 static_cast<int>(bytes.size() - at));
  check<FileError>(n == size, "{}: the gzip data are cut short or damaged", name);
  out.resize(static_cast<std::size_t>(size));
  check<FileError>(crc32(out) == little32(bytes.data() + end), "{}: the gzip data are damaged (wrong CRC-32)", name);
  return out;
}

std::vector<TarEntry> read_tar(std::span<const std::uint8_t> bytes, const std::string& name) {
  std::vector<TarEntry> entries;
  for (std::size_t at = 0;;) {
    check<FileError>(at + kBlock <= bytes.size(), "{}: the tar archive is cut short", name);
    const std::span<const std::uint8_t> header = bytes.subspan(at, kBlock);
    std::int64_t sum = 0;
    bool empty = true;
    for (std::size_t i = 0; i < kBlock; ++i) {
      sum += i >= 148 && i < 156 ? ' ' : header[i];  // the checksum itself counts as blanks
      empty = empty && header[i] == 0;
    }
    if (empty) return entries;
    check<FileError>(octal(header.subspan(148, 8)) == sum, "{}: not a tar archive, or damaged at byte {}", name, at);
    const std::int64_t size = octal(header.subspan(124, 12));
    const auto left = static_cast<std::int64_t>(bytes.size() - at - kBlock);
    check<FileError>(size >= 0 && size <= left, "{}: the tar archive is cut short", name);
    const char type = static_cast<char>(header[156]);
    if (type == '0' || type == '\0') {
      const std::string prefix =
          std::memcmp(header.data() + 257, "ustar", 6) == 0 ? text(header.subspan(345, 155)) : "";
      const std::string path = (prefix.empty() ? "" : prefix + "/") + text(header.subspan(0, 100));
      entries.push_back({safe_path(path), bytes.subspan(at + kBlock, static_cast<std::size_t>(size))});
      check<FileError>(!entries.back().path.empty(), "{}: the path '{}' leads out of the folder", name, path);
    }
    at += kBlock + (static_cast<std::size_t>(size) + kBlock - 1) / kBlock * kBlock;
  }
}

void unpack_tar_gz(const std::filesystem::path& archive, const std::filesystem::path& folder) {
  const std::vector<std::uint8_t> packed = read_file(archive);
  const std::vector<std::uint8_t> tar = gunzip(packed, archive.string());
  for (const TarEntry& entry : read_tar(tar, archive.string())) {
    const std::filesystem::path file = folder / entry.path;
    make_folder(file.parent_path());
    files::write_file_atomic(file.string(), {reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size()});
  }
}

}  // namespace gradus::data
