#include "data/dataset.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace gradus::data {

void Dataset::check_index(const char* who, std::int64_t index) const {
  check<ValueError>(index >= 0 && index < size(), "{}: there is no sample {}, the last is {}", who, index, size() - 1);
}

MemoryDataset::MemoryDataset(std::string name, int height, int width, std::vector<std::uint8_t> pixels,
                             std::vector<std::int64_t> labels, std::vector<std::string> classes)
    : name_(std::move(name)),
      height_(height),
      width_(width),
      pixels_(std::move(pixels)),
      labels_(std::move(labels)),
      classes_(std::move(classes)) {
  check<ValueError>(height_ > 0 && width_ > 0, "{}: pictures need a positive size, not {} x {}", name_, height_,
                    width_);
  const std::size_t expected = labels_.size() * height_ * width_ * Image::kChannels;
  check<ValueError>(pixels_.size() == expected, "{}: {} pictures of {} x {} take {} bytes, not {}", name_,
                    labels_.size(), height_, width_, expected, pixels_.size());
  for (std::size_t i = 0; i < labels_.size(); ++i)
    check<ValueError>(labels_[i] >= 0 && labels_[i] < std::ssize(classes_),
                      "{}: sample {} has label {}, but there are {} classes", name_, i, labels_[i], classes_.size());
}

std::int64_t MemoryDataset::label(std::int64_t index) const {
  check_index(name_.c_str(), index);
  return labels_[index];
}

bool MemoryDataset::get(std::int64_t index, Image& image) const {
  check_index(name_.c_str(), index);
  image.resize(height_, width_);
  std::memcpy(image.pixels.data(), pixels_.data() + index * image.pixels.size(), image.pixels.size());
  return true;
}

std::string MemoryDataset::origin(std::int64_t index) const { return fmt::format("{} sample {}", name_, index); }

MemoryDataset in_memory(const Dataset& source) {
  const std::int64_t n = source.size();
  check<ValueError>(n > 0, "in_memory: the data set is empty");
  Image first;
  check<ValueError>(source.get(0, first), "in_memory: {} cannot be read", source.origin(0));
  const std::size_t bytes = first.pixels.size();
  std::vector<std::uint8_t> pixels(n * bytes);
  std::vector<std::int64_t> labels(n);
  constexpr std::int64_t kGrain = 64;
  parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    Image image;
    for (std::int64_t i = begin; i < end; ++i) {
      check<ValueError>(source.get(i, image), "in_memory: {} cannot be read", source.origin(i));
      check<ValueError>(image.height == first.height && image.width == first.width,
                        "in_memory: {} is {} x {}, the first picture is {} x {}", source.origin(i), image.height,
                        image.width, first.height, first.width);
      std::copy(image.pixels.begin(), image.pixels.end(), pixels.begin() + i * bytes);
      labels[i] = source.label(i);
    }
  });
  return {"memory", first.height, first.width, std::move(pixels), std::move(labels), source.classes()};
}

}  // namespace gradus::data
