#include "data/transforms.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "data/arguments.hpp"
#include "data/color.hpp"

namespace gradus::data {
namespace {

void check_size(const char* name, Size size) {
  check<ValueError>(size.height > 0 && size.width > 0 && size.height <= kMaxSide && size.width <= kMaxSide,
                    "{}: the size must be in 1..{}, not {} x {}", name, kMaxSide, size.height, size.width);
}

void resize_shorter(Picture& picture, int size) {
  const int h = picture.height(), w = picture.width();
  const auto other = [&](int longer, int shorter) {
    return static_cast<int>(static_cast<std::int64_t>(size) * longer / shorter);
  };
  const Size target = w <= h ? Size{other(h, w), size} : Size{size, other(w, h)};
  check<ValueError>(std::max(target.height, target.width) <= kMaxSide,
                    "resize: a picture of {} x {} with shorter side {} is {} x {}, too large", h, w, size,
                    target.height, target.width);
  picture.resize({0, 0, h, w}, target.height, target.width);
}

class ResizeShortSide final : public Transform {
 public:
  explicit ResizeShortSide(int size) : size_(size) { check_size("resize", size); }
  void apply(Picture& picture, Random&) const override { resize_shorter(picture, size_); }
  std::string describe() const override { return fmt::format("resize({})", size_); }
  Kind kind() const override { return Kind::kPlace; }

 private:
  int size_;
};

class ResizeTo final : public Transform {
 public:
  explicit ResizeTo(Size size) : size_(size) { check_size("resize", size); }
  void apply(Picture& picture, Random&) const override {
    picture.resize({0, 0, picture.height(), picture.width()}, size_.height, size_.width);
  }
  std::string describe() const override { return fmt::format("resize({} {})", size_.height, size_.width); }
  Kind kind() const override { return Kind::kPlace; }

 private:
  Size size_;
};

class RandomResize final : public Transform {
 public:
  RandomResize(int low, int high) : low_(low), high_(high) {
    check_size("random_resize", {low, high});
    check<ValueError>(low <= high, "random_resize: the range {} {} is empty", low, high);
  }
  void apply(Picture& picture, Random& random) const override {
    resize_shorter(picture, low_ + static_cast<int>(random.below(high_ - low_ + 1)));
  }
  std::string describe() const override { return fmt::format("random_resize({} {})", low_, high_); }
  Kind kind() const override { return Kind::kPlace; }

 private:
  int low_, high_;
};

class CenterCrop final : public Transform {
 public:
  explicit CenterCrop(Size size) : size_(size) { check_size("center_crop", size); }
  void apply(Picture& picture, Random&) const override {
    // Halves go to the even side, as Python's round() sends them.
    const auto offset = [](int outer, int inner) { return static_cast<int>(std::nearbyint((outer - inner) / 2.0)); };
    picture.crop(
        {offset(picture.height(), size_.height), offset(picture.width(), size_.width), size_.height, size_.width});
  }
  std::string describe() const override { return fmt::format("center_crop({} {})", size_.height, size_.width); }
  Kind kind() const override { return Kind::kPlace; }
  bool only_places() const override { return true; }

 private:
  Size size_;
};

class RandomCrop final : public Transform {
 public:
  RandomCrop(Size size, int padding) : size_(size), padding_(padding) {
    check_size("random_crop", size);
    check<ValueError>(padding >= 0 && padding <= kMaxSide, "random_crop: padding must be in 0..{}, not {}", kMaxSide,
                      padding);
  }
  void apply(Picture& picture, Random& random) const override {
    const int rows = picture.height() + 2 * padding_ - size_.height,
              columns = picture.width() + 2 * padding_ - size_.width;
    check<ValueError>(rows >= 0 && columns >= 0,
                      "random_crop: {} x {} does not fit in a picture of {} x {} with padding {}", size_.height,
                      size_.width, picture.height(), picture.width(), padding_);
    const int top = static_cast<int>(random.below(rows + 1)) - padding_;
    const int left = static_cast<int>(random.below(columns + 1)) - padding_;
    picture.crop({top, left, size_.height, size_.width});
  }
  std::string describe() const override {
    return fmt::format("random_crop({} {}, padding={})", size_.height, size_.width, padding_);
  }
  Kind kind() const override { return Kind::kPlace; }
  bool only_places() const override { return true; }

 private:
  Size size_;
  int padding_;
};

class RandomResizedCrop final : public Transform {
 public:
  RandomResizedCrop(Size size, Range area, Range ratio) : size_(size), area_(area), ratio_(ratio) {
    check_size("random_resized_crop", size);
    check<ValueError>(area.low > 0 && area.low <= area.high && area.high <= 1,
                      "random_resized_crop: the area must be a range in (0, 1], not {} {}", area.low, area.high);
    check<ValueError>(ratio.low > 0 && ratio.low <= ratio.high,
                      "random_resized_crop: the ratio must be a range above 0, not {} {}", ratio.low, ratio.high);
  }
  void apply(Picture& picture, Random& random) const override {
    picture.resize(choose(picture.height(), picture.width(), random), size_.height, size_.width);
  }
  std::string describe() const override {
    return fmt::format("random_resized_crop({} {}, area={} {}, ratio={} {})", size_.height, size_.width, area_.low,
                       area_.high, ratio_.low, ratio_.high);
  }
  Kind kind() const override { return Kind::kPlace; }

 private:
  Box choose(int height, int width, Random& random) const {
    const float whole = static_cast<float>(height) * static_cast<float>(width);
    constexpr int kTries = 10;
    for (int i = 0; i < kTries; ++i) {
      const float area = whole * random.uniform(area_.low, area_.high);
      const float ratio = std::exp(random.uniform(std::log(ratio_.low), std::log(ratio_.high)));
      const auto w = std::lround(std::sqrt(area * ratio)), h = std::lround(std::sqrt(area / ratio));
      if (w < 1 || h < 1 || w > width || h > height) continue;
      const int top = static_cast<int>(random.below(height - static_cast<int>(h) + 1));
      return {top, static_cast<int>(random.below(width - static_cast<int>(w) + 1)), static_cast<int>(h),
              static_cast<int>(w)};
    }
    int w = width, h = height;
    if (static_cast<float>(w) < ratio_.low * static_cast<float>(h))
      h = std::max(static_cast<int>(std::lround(static_cast<float>(w) / ratio_.low)), 1);
    else if (static_cast<float>(w) > ratio_.high * static_cast<float>(h))
      w = std::max(static_cast<int>(std::lround(static_cast<float>(h) * ratio_.high)), 1);
    return {(height - h) / 2, (width - w) / 2, h, w};
  }

  Size size_;
  Range area_, ratio_;
};

class RandomFlip final : public Transform {
 public:
  explicit RandomFlip(float probability) : probability_(probability) {
    check<ValueError>(probability >= 0 && probability <= 1, "flip: the probability must be in [0, 1], not {}",
                      probability);
  }
  void apply(Picture& picture, Random& random) const override {
    if (random.chance(probability_)) picture.flip();
  }
  std::string describe() const override { return fmt::format("flip({})", probability_); }
  Kind kind() const override { return Kind::kAny; }
  bool only_places() const override { return true; }

 private:
  float probability_;
};

class Jitter final : public Transform {
 public:
  explicit Jitter(ColorJitter strength) : strength_(strength) {
    for (const float s : {strength.brightness, strength.contrast, strength.saturation})
      check<ValueError>(s >= 0 && s < 1e3f, "color_jitter: a strength must not be negative, and {} is", s);
    check<ValueError>(strength.hue >= 0 && strength.hue <= 0.5f, "color_jitter: hue must be in [0, 0.5], not {}",
                      strength.hue);
  }
  void apply(Picture& picture, Random& random) const override {
    std::array<int, 4> order{0, 1, 2, 3};
    for (std::uint32_t i = 3; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    const auto factor = [&](float strength) { return random.uniform(std::max(1 - strength, 0.0f), 1 + strength); };
    Image& image = picture.pixels();
    for (const int step : order) {
      if (step == 0 && strength_.brightness > 0) adjust_brightness(image, factor(strength_.brightness));
      if (step == 1 && strength_.contrast > 0) adjust_contrast(image, factor(strength_.contrast));
      if (step == 2 && strength_.saturation > 0) adjust_saturation(image, factor(strength_.saturation));
      if (step == 3 && strength_.hue > 0) adjust_hue(image, random.uniform(-strength_.hue, strength_.hue));
    }
  }
  std::string describe() const override {
    return fmt::format("color_jitter(brightness={}, contrast={}, saturation={}, hue={})", strength_.brightness,
                       strength_.contrast, strength_.saturation, strength_.hue);
  }
  Kind kind() const override { return Kind::kColor; }

 private:
  ColorJitter strength_;
};

class PcaColor final : public Transform {
 public:
  explicit PcaColor(float sigma) : sigma_(sigma) {
    check<ValueError>(sigma >= 0 && sigma < 1e3f, "pca_color: sigma must not be negative, and {} is", sigma);
  }
  void apply(Picture& picture, Random& random) const override {
    constexpr float kValues[3] = {0.2175f, 0.0188f, 0.0045f};
    constexpr float kVectors[3][3] = {// rows R, G, B; a column to an eigenvector
                                      {-0.5675f, 0.7192f, 0.4009f},
                                      {-0.5808f, -0.0045f, -0.8140f},
                                      {-0.5836f, -0.6948f, 0.4203f}};
    std::array<float, 3> amount{0, 0, 0};
    for (int i = 0; i < 3; ++i) {
      const float a = sigma_ * random.normal() * kValues[i];
      for (int c = 0; c < 3; ++c) amount[c] += a * kVectors[c][i];
    }
    picture.shift(amount);
  }
  std::string describe() const override { return fmt::format("pca_color({})", sigma_); }
  Kind kind() const override { return Kind::kLight; }

 private:
  float sigma_;
};

class Cutout final : public Transform {
 public:
  explicit Cutout(int size) : size_(size) { check_size("cutout", size); }
  void apply(Picture& picture, Random& random) const override {
    const int y = static_cast<int>(random.below(picture.height())), x = static_cast<int>(random.below(picture.width()));
    picture.erase({y - size_ / 2, x - size_ / 2, size_, size_});
  }
  std::string describe() const override { return fmt::format("cutout({})", size_); }
  Kind kind() const override { return Kind::kErase; }

 private:
  int size_;
};

Size size_of(Arguments& arguments) {
  const std::vector<int> sides = arguments.integers("", 1, 2);
  return {sides.front(), sides.back()};
}

Range range_of(Arguments& arguments, const char* key, Range otherwise) {
  const std::vector<float> ends = arguments.numbers(key, 2, 2, {otherwise.low, otherwise.high});
  return {ends[0], ends[1]};
}

/// Every name and how it is made from its arguments.
struct Maker {
  std::string_view name;
  TransformPtr (*make)(Arguments&);
};
constexpr std::array kMakers{
    Maker{"resize",
          [](Arguments& a) {
            const std::vector<int> sides = a.integers("", 1, 2);
            return sides.size() == 1 ? resize_short_side(sides[0]) : resize_to({sides[0], sides[1]});
          }},
    Maker{"random_resize",
          [](Arguments& a) {
            const std::vector<int> ends = a.integers("", 2, 2);
            return random_resize(ends[0], ends[1]);
          }},
    Maker{"center_crop", [](Arguments& a) { return center_crop(size_of(a)); }},
    Maker{"random_crop", [](Arguments& a) { return random_crop(size_of(a), a.integer("padding", 0)); }},
    Maker{"random_resized_crop",
          [](Arguments& a) {
            return random_resized_crop(size_of(a), range_of(a, "area", {0.08f, 1}),
                                       range_of(a, "ratio", {0.75f, 4.0f / 3}));
          }},
    Maker{"flip", [](Arguments& a) { return random_flip(a.number("", 0.5f)); }},
    Maker{"color_jitter",
          [](Arguments& a) {
            return color_jitter({.brightness = a.number("brightness", 0),
                                 .contrast = a.number("contrast", 0),
                                 .saturation = a.number("saturation", 0),
                                 .hue = a.number("hue", 0)});
          }},
    Maker{"pca_color", [](Arguments& a) { return pca_color(a.number("", 0.1f)); }},
    Maker{"cutout", [](Arguments& a) { return cutout(a.integers("", 1, 1)[0]); }},
};

}  // namespace

TransformPtr resize_short_side(int size) { return std::make_shared<ResizeShortSide>(size); }
TransformPtr resize_to(Size size) { return std::make_shared<ResizeTo>(size); }
TransformPtr random_resize(int low, int high) { return std::make_shared<RandomResize>(low, high); }
TransformPtr center_crop(Size size) { return std::make_shared<CenterCrop>(size); }
TransformPtr random_crop(Size size, int padding) { return std::make_shared<RandomCrop>(size, padding); }
TransformPtr random_resized_crop(Size size, Range area, Range ratio) {
  return std::make_shared<RandomResizedCrop>(size, area, ratio);
}
TransformPtr random_flip(float probability) { return std::make_shared<RandomFlip>(probability); }
TransformPtr color_jitter(ColorJitter strength) { return std::make_shared<Jitter>(strength); }
TransformPtr pca_color(float sigma) { return std::make_shared<PcaColor>(sigma); }
TransformPtr cutout(int size) { return std::make_shared<Cutout>(size); }

TransformPtr parse_transform(std::string_view text) {
  Arguments arguments(text);
  for (const Maker& maker : kMakers) {
    if (maker.name != arguments.name()) continue;
    TransformPtr transform = maker.make(arguments);
    arguments.finish();
    return transform;
  }
  std::vector<std::string_view> names{"normalize", "mixup", "cutmix"};  // Pipeline::parse() knows these
  for (const Maker& maker : kMakers) names.push_back(maker.name);
  fail<ValueError>("transform: there is no '{}'; the nearest is '{}'", arguments.name(),
                   nearest_name(arguments.name(), names));
}

}  // namespace gradus::data
