#pragma once
// Pictures in memory and in files (JPEG, PNG, BMP, PPM, PGM).

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace gradus::data {

/// A picture: `height` rows of `width` pixels of three bytes (red, green, blue), row by row.
struct Image {
  static constexpr int kChannels = 3;

  int height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // height * width * 3

  /// Makes room for height x width pixels; what they hold is unspecified. Memory is kept when it shrinks.
  void resize(int new_height, int new_width) {
    height = new_height, width = new_width;
    pixels.resize(static_cast<std::size_t>(height) * width * kChannels);
  }
  std::uint8_t* row(int y) { return pixels.data() + static_cast<std::size_t>(y) * width * kChannels; }
  const std::uint8_t* row(int y) const { return pixels.data() + static_cast<std::size_t>(y) * width * kChannels; }
};

/// Largest width or height that is decoded, and largest area: a file of a few bytes may claim any size, and is refused
/// before memory is taken for it. 2^26 pixels (8192 x 8192) are 201 MB decoded.
inline constexpr int kMaxSide = 32'768;
inline constexpr std::int64_t kMaxPixels = std::int64_t{1} << 26;

/// Decodes an image file held in memory to `image`. Grey becomes RGB with equal channels, alpha is dropped, 16 bits are
/// cut to 8, EXIF orientation is ignored (as PyTorch's loaders do). FileError "<name>: ..." if it is empty, not an
/// image, broken, or too large. `name` is for the message alone.
void decode_image(std::span<const std::uint8_t> bytes, const std::string& name, Image& image,
                  std::int64_t max_pixels = kMaxPixels);

/// Reads and decodes a file. FileError names it.
void read_image(const std::filesystem::path& file, Image& image);

/// `image` as the bytes of a PNG file. ValueError if it has no pixels.
std::vector<std::uint8_t> encode_png(const Image& image);

/// Writes `image` as a PNG file. FileError if it cannot be written.
void write_png(const std::filesystem::path& file, const Image& image);

}  // namespace gradus::data
