#include "data/views.hpp"

#include "data/data_test_support.hpp"
#include "data/transforms.hpp"

namespace gradus::data {
namespace {

/// Pictures that show their number.
class Numbered final : public Dataset {
 public:
  explicit Numbered(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int64_t label(std::int64_t index) const override { return index % 2; }
  bool get(std::int64_t index, Image& image) const override {
    if (index == 3) return false;
    check<FileError>(index != 7, "picture 7 is broken");
    image.resize(8, 12);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<std::uint8_t>(index));
    return true;
  }
  std::string origin(std::int64_t index) const override { return std::to_string(index); }

 private:
  std::int64_t size_;
  std::vector<std::string> classes_{"even", "odd"};
};

/// The pixels of `image` after a pipeline of crops, as floats.
std::vector<float> cropped(const Image& image, const Box& box, bool mirrored) {
  Picture picture;
  picture.source() = image;
  picture.reset();
  picture.crop(box);
  if (mirrored) picture.flip();
  std::vector<float> values(static_cast<std::size_t>(box.height) * box.width * 3);
  picture.write({}, values.data());
  return values;
}

std::vector<float> view(const Tensor& views, std::int64_t i) {
  const std::int64_t each = views.numel() / views.size(0);
  const float* begin = views.data<float>() + i * each;
  return {begin, begin + each};
}

std::vector<Tensor> views_of(const Image& image, Crops crops, std::vector<int> scales, int size, bool mirror = false) {
  Picture scratch;
  return make_views({.crops = crops, .scales = std::move(scales), .size = size, .mirror = mirror}, image, scratch);
}

}  // namespace

TEST_CASE("views: ten crops are the corners and the centre of the picture, then of its mirror image") {
  const Image image = noise_image(16, 21);  // its shorter side is the scale: nothing is resized
  const std::vector<Tensor> views = views_of(image, Crops::ten, {16}, 10);
  REQUIRE(views.size() == 1);
  CHECK(views[0].shape() == Shape{10, 3, 10, 10});
  const Box boxes[] = {{0, 0, 10, 10}, {0, 11, 10, 10}, {6, 0, 10, 10}, {6, 11, 10, 10}, {3, 6, 10, 10}};
  for (int i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(view(views[0], i) == cropped(image, boxes[i], false));
    // The mirror image is cropped itself: an odd rest puts its centre one pixel further.
    Box there = boxes[i];
    there.left = 21 - 10 - there.left;
    CHECK(view(views[0], 5 + i) == cropped(image, there, true));
  }
}

TEST_CASE("views: many crops are 36 a scale: of three squares five crops and the whole, mirrored too") {
  const Image image = noise_image(24, 16);
  const std::vector<Tensor> views = views_of(image, Crops::many, {16}, 10);
  REQUIRE(views[0].shape() == Shape{36, 3, 10, 10});
  CHECK(view(views[0], 0) == cropped(image, {0, 0, 10, 10}, false));       // top square, first corner
  CHECK(view(views[0], 12) == cropped(image, {4, 0, 10, 10}, false));      // middle square
  CHECK(view(views[0], 24 + 7) == cropped(image, {14, 6, 10, 10}, true));  // bottom square, last corner, mirrored
  Image square;
  resize(image, {8, 0, 16, 16}, 10, 10, square);
  CHECK(view(views[0], 24 + 10) == cropped(square, {0, 0, 10, 10}, false));  // bottom square, whole
  CHECK(views_of(image, Crops::many, {16, 18, 20, 22}, 14)[0].size(0) == 144);
}

TEST_CASE("views: whole pictures keep their shape, one tensor a scale") {
  const Image image = noise_image(16, 24);
  const std::vector<Tensor> views = views_of(image, Crops::whole, {16, 32}, 224, true);
  REQUIRE(views.size() == 2);
  CHECK(views[0].shape() == Shape{2, 3, 16, 24});
  CHECK(views[1].shape() == Shape{2, 3, 32, 48});
  CHECK(view(views[0], 1) == cropped(image, {0, 0, 16, 24}, true));
}

TEST_CASE("views: one crop at several scales") {
  const Image image = noise_image(16, 24);
  CHECK(views_of(image, Crops::one, {16, 32}, 16)[0].size(0) == 2);
  CHECK(views_of(image, Crops::one, {16, 32}, 16, true)[0].size(0) == 4);
  CHECK(contains(error_of<ValueError>([&] { views_of(image, Crops::one, {12}, 16); }),
                 "a crop of 16 does not fit a picture whose shorter side is 12"));
}

TEST_CASE("views: the loader keeps the order with any number of workers, and leaves out what is skipped") {
  for (const int workers : {1, 3}) {
    ViewLoader loader(std::make_shared<Numbered>(7), {.scales = {8}, .size = 8}, workers);
    for (const std::int64_t index : {0, 1, 2, 4, 5, 6}) {
      const auto sample = loader.next();
      REQUIRE(sample.has_value());
      CHECK(sample->index == index);
      CHECK(sample->label == index % 2);
      CHECK(view(sample->views[0], 0)[0] == doctest::Approx(static_cast<double>(index) / 255));
    }
    CHECK(!loader.next().has_value());
  }
}

TEST_CASE("views: a sample that cannot be read is thrown where it would have come") {
  ViewLoader loader(std::make_shared<Numbered>(9), {.scales = {8}, .size = 8}, 2);
  for (int i = 0; i < 6; ++i) CHECK(loader.next().has_value());
  CHECK(error_of<FileError>([&] { loader.next(); }) == "picture 7 is broken");
  CHECK(loader.next()->index == 8);
}

}  // namespace gradus::data
