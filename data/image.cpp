#include "data/image.hpp"

#include <cstring>
#include <memory>

#include "core/error.hpp"
#include "data/files.hpp"
#include "nn/files/atomic_file.hpp"

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG  // and no more decoders than people need: each reads bytes that come from strangers
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 32768
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace gradus::data {

namespace {

/// False if the Huffman tables that begin at bytes[at], behind the marker, name more than 256 codes each:
/// stb_image 2.27 would write them beyond its array.
bool huffman_tables_fit(std::span<const std::uint8_t> bytes, std::size_t at) {
  constexpr std::size_t kLengths = 16, kCodes = 256;
  if (at + 2 > bytes.size()) return true;  // cut short: an error that is found
  const std::size_t end = at + bytes[at] * 256u + bytes[at + 1];
  for (at += 2; at < end;) {
    std::size_t codes = 0;  // what lies beyond the end of the file counts as zero
    for (std::size_t i = at + 1; i <= at + kLengths && i < bytes.size(); ++i) codes += bytes[i];
    if (codes > kCodes) return false;
    at += 1 + kLengths + codes;
  }
  return true;
}

/// False if `bytes` is a JPEG file with such a table anywhere that stb_image could find it.
bool jpeg_is_safe(std::span<const std::uint8_t> bytes) {
  constexpr std::uint8_t kHuffman = 0xc4, kScan = 0xda;
  if (bytes.size() < 2 || bytes[0] != 0xff) return true;
  bool in_header = true;  // up to the first scan, segments are passed over by their lengths
  for (std::size_t at = 0; at + 1 < bytes.size();) {
    if (bytes[at] != 0xff || bytes[at + 1] == 0xff) {
      ++at;
      continue;
    }
    const std::uint8_t marker = bytes[at + 1];
    at += 2;
    if (marker == kHuffman && !huffman_tables_fit(bytes, at)) return false;
    if (marker == kScan) in_header = false;
    const bool has_length = marker == kHuffman || (marker >= 0xc0 && marker <= 0xc2) || marker >= 0xda;
    if (in_header && has_length && at + 2 <= bytes.size()) at += bytes[at] * 256u + bytes[at + 1];
  }
  return true;
}

}  // namespace

static_assert(STBI_MAX_DIMENSIONS == kMaxSide);

void decode_image(std::span<const std::uint8_t> bytes, const std::string& name, Image& image, std::int64_t max_pixels) {
  check<FileError>(!bytes.empty(), "{}: the file is empty", name);
  check<FileError>(bytes.size() <= 0x7fffffff, "{}: {} bytes are too many for an image", name, bytes.size());
  check<FileError>(jpeg_is_safe(bytes), "{}: cannot be decoded (a Huffman table has too many codes)", name);
  const int length = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  const bool known = stbi_info_from_memory(bytes.data(), length, &width, &height, &channels) != 0;
  check<FileError>(known, "{}: not an image ({})", name, known ? "" : stbi_failure_reason());
  check<FileError>(
      width > 0 && height > 0 && width <= kMaxSide && height <= kMaxSide && std::int64_t{width} * height <= max_pixels,
      "{}: {} x {} pixels are too many (at most {} a side and {} in all)", name, width, height, kMaxSide, max_pixels);
  const std::unique_ptr<std::uint8_t, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), length, &width, &height, &channels, Image::kChannels), stbi_image_free);
  check<FileError>(pixels != nullptr, "{}: cannot be decoded ({})", name, pixels ? "" : stbi_failure_reason());
  image.resize(height, width);
  std::memcpy(image.pixels.data(), pixels.get(), image.pixels.size());
}

void read_image(const std::filesystem::path& file, Image& image) {
  constexpr std::int64_t kMaxBytes = 1 << 30;
  decode_image(read_file(file, kMaxBytes), file.string(), image);
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  std::vector<std::uint8_t> bytes;
  const auto append = [](void* context, void* data, int size) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    auto& out = *static_cast<std::vector<std::uint8_t>*>(context);
    out.insert(out.end(), begin, begin + size);
  };
  check<ValueError>(stbi_write_png_to_func(append, &bytes, image.width, image.height, Image::kChannels,
                                           image.pixels.data(), image.width * Image::kChannels) != 0,
                    "png: a picture of {} x {} cannot be encoded", image.height, image.width);
  return bytes;
}

void write_png(const std::filesystem::path& file, const Image& image) {
  const std::vector<std::uint8_t> bytes = encode_png(image);
  files::write_file_atomic(file.string(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace gradus::data
