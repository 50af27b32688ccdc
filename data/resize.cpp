#include "data/resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.hpp"

namespace gradus::data {
namespace {

constexpr int kChannels = Image::kChannels;
constexpr int kPrecision = 22;  // bits behind the point: 32 less 8 for the byte and 2 for sums beyond it

/// For every output position, the input positions it reads and their weights.
struct Taps {
  struct Span {
    int first, count;
  };
  std::vector<Span> spans;
  std::vector<std::int32_t> weights;  // `width` to a span
  int width = 0;
};

/// The triangle filter from `in` positions to `out`, centred at the middle of pixels, normalised to sum 1.
Taps triangle_taps(int in, int out) {
  const double scale = static_cast<double>(in) / out, support = std::max(scale, 1.0);
  Taps taps;
  taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.spans.resize(out);
  taps.weights.assign(static_cast<std::size_t>(out) * taps.width, 0);
  std::vector<double> weights(taps.width);
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int count = std::min(static_cast<int>(centre + support + 0.5), in) - first;
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      weights[k] = std::max(1 - std::abs((k + first - centre + 0.5) * (1 / support)), 0.0);
      sum += weights[k];
    }
    for (int k = 0; k < count; ++k)
      taps.weights[static_cast<std::size_t>(i) * taps.width + k] =
          static_cast<std::int32_t>(0.5 + (sum != 0 ? weights[k] / sum : weights[k]) * (1 << kPrecision));
    taps.spans[i] = {first, count};
  }
  return taps;
}

std::uint8_t to_byte(std::int32_t fixed) { return static_cast<std::uint8_t>(std::clamp(fixed >> kPrecision, 0, 255)); }

void check_box(const char* who, const Image& in, const Box& box) {
  check<ValueError>(box.height > 0 && box.width > 0 && box.top >= 0 && box.left >= 0 &&
                        box.top <= in.height - box.height && box.left <= in.width - box.width,
                    "{}: the box of {} x {} at ({}, {}) does not lie in a picture of {} x {}", who, box.height,
                    box.width, box.top, box.left, in.height, in.width);
}

}  // namespace

void resize(const Image& in, const Box& box, int height, int width, Image& out) {
  check_box("resize", in, box);
  check<ValueError>(height > 0 && width > 0 && height <= kMaxSide && width <= kMaxSide,
                    "resize: cannot make a picture of {} x {}", height, width);
  constexpr std::int32_t kHalf = 1 << (kPrecision - 1);

  Image narrow;  // box.height x width
  narrow.resize(box.height, width);
  if (width == box.width) {
    crop(in, box, narrow);
  } else {
    const Taps taps = triangle_taps(box.width, width);
    for (int y = 0; y < box.height; ++y) {
      const std::uint8_t* source = in.row(box.top + y) + box.left * kChannels;
      std::uint8_t* target = narrow.row(y);
      for (int x = 0; x < width; ++x, target += kChannels) {
        const std::uint8_t* pixel = source + taps.spans[x].first * kChannels;
        const std::int32_t* weight = taps.weights.data() + static_cast<std::size_t>(x) * taps.width;
        std::int32_t r = kHalf, g = kHalf, b = kHalf;
        for (int k = 0; k < taps.spans[x].count; ++k, pixel += kChannels)
          r += pixel[0] * weight[k], g += pixel[1] * weight[k], b += pixel[2] * weight[k];
        target[0] = to_byte(r), target[1] = to_byte(g), target[2] = to_byte(b);
      }
    }
  }
  if (height == box.height) {
    std::swap(out, narrow);
    return;
  }
  const Taps taps = triangle_taps(box.height, height);
  out.resize(height, width);
  const int bytes = width * kChannels;
  std::vector<std::int32_t> sums(bytes);  // row by row: every inner loop is along memory
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int k = 0; k < taps.spans[y].count; ++k) {
      const std::uint8_t* source = narrow.row(taps.spans[y].first + k);
      const std::int32_t weight = taps.weights[static_cast<std::size_t>(y) * taps.width + k];
      for (int i = 0; i < bytes; ++i) sums[i] += source[i] * weight;
    }
    std::transform(sums.begin(), sums.end(), out.row(y), to_byte);
  }
}

void crop(const Image& in, const Box& box, Image& out) {
  check_box("crop", in, box);
  out.resize(box.height, box.width);
  for (int y = 0; y < box.height; ++y)
    std::memcpy(out.row(y), in.row(box.top + y) + box.left * kChannels,
                static_cast<std::size_t>(box.width) * kChannels);
}

}  // namespace gradus::data
