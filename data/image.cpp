#include "data/image.hpp"

#include <cstring>
#include <memory>

#include "core/error.hpp"
#include "data/files.hpp"
#include "nn/files/atomic_file.hpp"

#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_HDR
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

static_assert(STBI_MAX_DIMENSIONS == kMaxSide);

void decode_image(std::span<const std::uint8_t> bytes, const std::string& name, Image& image) {
  check<FileError>(!bytes.empty(), "{}: the file is empty", name);
  check<FileError>(bytes.size() <= 0x7fffffff, "{}: {} bytes are too many for an image", name, bytes.size());
  const int length = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  const bool known = stbi_info_from_memory(bytes.data(), length, &width, &height, &channels) != 0;
  check<FileError>(known, "{}: not an image ({})", name, known ? "" : stbi_failure_reason());
  check<FileError>(
      width > 0 && height > 0 && width <= kMaxSide && height <= kMaxSide && std::int64_t{width} * height <= kMaxPixels,
      "{}: {} x {} pixels are too many (at most {} a side and {} in all)", name, width, height, kMaxSide, kMaxPixels);
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
