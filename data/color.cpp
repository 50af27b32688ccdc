#include "data/color.hpp"

#include <algorithm>
#include <cmath>

namespace gradus::data {
namespace {

constexpr int kChannels = Image::kChannels;

/// ITU-R 601 luma in 16-bit fixed point.
int grey(const std::uint8_t* p) { return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16; }

/// from + factor (to - from), cut to a byte. Pillow cuts towards zero, it does not round.
std::uint8_t blend(int from, int to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
}

std::uint8_t byte(double value) { return static_cast<std::uint8_t>(std::clamp(static_cast<int>(value), 0, 255)); }

struct Hsv {
  std::uint8_t h, s, v;
};

Hsv to_hsv(const std::uint8_t* p) {
  const int high = std::max({p[0], p[1], p[2]}), low = std::min({p[0], p[1], p[2]});
  if (high == low) return {0, 0, static_cast<std::uint8_t>(high)};
  const float range = static_cast<float>(high - low);
  const float r = (high - p[0]) / range, g = (high - p[1]) / range, b = (high - p[2]) / range;
  // Float and double where Pillow has them.
  const auto sixths = static_cast<float>(p[0] == high ? b - g : p[1] == high ? 2.0 + r - b : 4.0 + g - r);
  const auto h = static_cast<float>(std::fmod(sixths / 6.0 + 1.0, 1.0));
  return {byte(h * 255.0), byte(range / static_cast<float>(high) * 255.0), static_cast<std::uint8_t>(high)};
}

void from_hsv(const Hsv& c, std::uint8_t* p) {
  if (c.s == 0) {
    p[0] = p[1] = p[2] = c.v;
    return;
  }
  const double place = c.h * 6.0 / 255.0;
  const int sector = static_cast<int>(place);
  const auto f = static_cast<float>(place - sector), s = static_cast<float>(c.s / 255.0);
  const float v = c.v;
  const std::uint8_t low = byte(std::round(v * (1.0 - s))), down = byte(std::round(v * (1.0 - s * f))),
                     up = byte(std::round(v * (1.0 - s * (1.0 - f))));
  switch (sector % 6) {
    case 0: p[0] = c.v, p[1] = up, p[2] = low; break;
    case 1: p[0] = down, p[1] = c.v, p[2] = low; break;
    case 2: p[0] = low, p[1] = c.v, p[2] = up; break;
    case 3: p[0] = low, p[1] = down, p[2] = c.v; break;
    case 4: p[0] = up, p[1] = low, p[2] = c.v; break;
    default: p[0] = c.v, p[1] = low, p[2] = down; break;
  }
}

}  // namespace

void adjust_brightness(Image& image, float factor) {
  for (std::uint8_t& value : image.pixels) value = blend(0, value, factor);
}

void adjust_contrast(Image& image, float factor) {
  const std::size_t pixels = image.pixels.size() / kChannels;
  if (pixels == 0) return;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < pixels; ++i) sum += grey(image.pixels.data() + i * kChannels);
  const int mean = static_cast<int>(static_cast<double>(sum) / static_cast<double>(pixels) + 0.5);
  for (std::uint8_t& value : image.pixels) value = blend(mean, value, factor);
}

void adjust_saturation(Image& image, float factor) {
  for (std::size_t i = 0; i < image.pixels.size(); i += kChannels) {
    std::uint8_t* p = image.pixels.data() + i;
    const int level = grey(p);
    for (int c = 0; c < kChannels; ++c) p[c] = blend(level, p[c], factor);
  }
}

void adjust_hue(Image& image, float turn) {
  const auto shift = static_cast<std::uint8_t>(static_cast<int>(turn * 255));  // modulo 256, a full turn
  for (std::size_t i = 0; i < image.pixels.size(); i += kChannels) {
    Hsv colour = to_hsv(image.pixels.data() + i);
    colour.h = static_cast<std::uint8_t>(colour.h + shift);
    from_hsv(colour, image.pixels.data() + i);
  }
}

}  // namespace gradus::data
