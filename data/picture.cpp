#include "data/picture.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"

namespace gradus::data {
namespace {

constexpr int kChannels = Image::kChannels;

/// out[i] = in[i] * scale + shift for n bytes, with the three channels' constants taking turns.
void normalize_row(const std::uint8_t* in, int n, const std::array<float, 3>& scale, const std::array<float, 3>& shift,
                   float* out) {
  constexpr int kTurn = 12;  // a multiple of three channels and of a vector's four floats
  float scales[kTurn], shifts[kTurn];
  for (int i = 0; i < kTurn; ++i) scales[i] = scale[i % kChannels], shifts[i] = shift[i % kChannels];
  int i = 0;
  for (; i + kTurn <= n; i += kTurn)
    for (int k = 0; k < kTurn; ++k) out[i + k] = static_cast<float>(in[i + k]) * scales[k] + shifts[k];
  for (; i < n; ++i) out[i] = static_cast<float>(in[i]) * scale[i % kChannels] + shift[i % kChannels];
}

/// Copies `n` pixels in reverse order.
void mirror(const std::uint8_t* in, int n, std::uint8_t* out) {
  for (int x = 0; x < n; ++x) {
    const std::uint8_t* pixel = in + (n - 1 - x) * kChannels;
    out[x * kChannels] = pixel[0], out[x * kChannels + 1] = pixel[1], out[x * kChannels + 2] = pixel[2];
  }
}

}  // namespace

PixelMap pixel_map(const Normalization& normalization, const std::array<float, 3>& added) {
  PixelMap map{};
  for (int c = 0; c < kChannels; ++c) {
    map.scale[c] = 1 / (255 * normalization.std[c]);
    map.shift[c] = (added[c] - normalization.mean[c]) / normalization.std[c];
  }
  return map;
}

void Picture::reset() {
  window_ = {0, 0, image_.height, image_.width};
  flipped_ = false;
  shift_ = {0, 0, 0};
  erased_.clear();
}

void Picture::crop(const Box& box) {
  check<ValueError>(box.height > 0 && box.width > 0, "crop: a picture needs a positive size, not {} x {}", box.height,
                    box.width);
  const bool inside =
      box.top >= 0 && box.left >= 0 && box.top + box.height <= window_.height && box.left + box.width <= window_.width;
  const bool whole =
      window_.top == 0 && window_.left == 0 && window_.height == image_.height && window_.width == image_.width;
  if (!inside && !whole) pixels();  // what an earlier crop cut off must not come back as padding
  window_.left += flipped_ ? window_.width - box.left - box.width : box.left;
  window_.top += box.top;
  window_.height = box.height, window_.width = box.width;
  for (Box& hole : erased_) hole.top -= box.top, hole.left -= box.left;
}

void Picture::flip() {
  flipped_ = !flipped_;
  for (Box& hole : erased_) hole.left = window_.width - hole.left - hole.width;
}

void Picture::shift(const std::array<float, 3>& amount) {
  for (int c = 0; c < kChannels; ++c) shift_[c] += amount[c];
}

void Picture::erase(const Box& box) { erased_.push_back(box); }

Image& Picture::pixels() {
  if (window_.top == 0 && window_.left == 0 && window_.height == image_.height && window_.width == image_.width &&
      !flipped_)
    return image_;
  spare_.resize(window_.height, window_.width);
  const int first = std::clamp(-window_.left, 0, window_.width);  // columns [first, last) lie in the image
  const int last = std::clamp(image_.width - window_.left, first, window_.width);
  for (int y = 0; y < window_.height; ++y) {
    const int from = window_.top + y;
    std::uint8_t* row = spare_.row(y);
    std::memset(row, 0, static_cast<std::size_t>(window_.width) * kChannels);
    if (from < 0 || from >= image_.height || first == last) continue;
    const std::uint8_t* source = image_.row(from) + (window_.left + first) * kChannels;
    if (flipped_) {
      mirror(source, last - first, row + (window_.width - last) * kChannels);
    } else {
      std::memcpy(row + first * kChannels, source, static_cast<std::size_t>(last - first) * kChannels);
    }
  }
  std::swap(image_, spare_);
  window_ = {0, 0, image_.height, image_.width};
  flipped_ = false;
  return image_;
}

void Picture::resize(const Box& box, int height, int width) {
  check<ValueError>(erased_.empty(), "resize: comes before what erases parts of the picture");
  data::resize(pixels(), box, height, width, spare_);
  std::swap(image_, spare_);
  window_ = {0, 0, height, width};
}

void Picture::write(const Normalization& normalization, float* out) const {
  const auto [scale, shift] = pixel_map(normalization, shift_);
  const int width = window_.width;
  const int first = std::clamp(-window_.left, 0, width);  // columns [first, last) of the window lie in the image
  const int last = std::clamp(image_.width - window_.left, first, width);
  const int begin = flipped_ ? width - last : first;  // where they come to stand
  constexpr int kStackRow = 1024;
  std::uint8_t stack_row[kStackRow * kChannels];
  std::vector<std::uint8_t> heap_row(width > kStackRow ? static_cast<std::size_t>(width) * kChannels : 0);
  std::uint8_t* mirrored = width > kStackRow ? heap_row.data() : stack_row;

  for (int y = 0; y < window_.height; ++y) {
    float* row = out + static_cast<std::size_t>(y) * width * kChannels;
    const int from = window_.top + y;
    const bool outside = from < 0 || from >= image_.height || first == last;
    const int filled_begin = outside ? width : begin, filled_end = outside ? width : begin + last - first;
    for (int i = 0; i < filled_begin * kChannels; ++i) row[i] = shift[i % kChannels];
    for (int i = filled_end * kChannels; i < width * kChannels; ++i) row[i] = shift[i % kChannels];
    if (outside) continue;
    const std::uint8_t* source = image_.row(from) + (window_.left + first) * kChannels;
    if (flipped_) {
      mirror(source, last - first, mirrored);
      source = mirrored;
    }
    normalize_row(source, (last - first) * kChannels, scale, shift, row + begin * kChannels);
  }
  for (const Box& hole : erased_) {
    const int left = std::clamp(hole.left, 0, width), right = std::clamp(hole.left + hole.width, left, width);
    for (int y = std::max(hole.top, 0); y < std::min(hole.top + hole.height, window_.height); ++y)
      std::fill_n(out + (static_cast<std::size_t>(y) * width + left) * kChannels, (right - left) * kChannels, 0.0f);
  }
  if (normalization.bgr)
    for (std::size_t i = 0; i < static_cast<std::size_t>(window_.height) * width; ++i)
      std::swap(out[i * kChannels], out[i * kChannels + 2]);
}

}  // namespace gradus::data
