#include "data/transforms.hpp"

#include <cmath>
#include <set>

#include "data/data_test_support.hpp"
#include "data/pipeline.hpp"

namespace gradus::data {
namespace {

/// A picture whose pixel (y, x) is (y, x, 200).
Picture coordinates(int height, int width) {
  Picture picture;
  picture.source().resize(height, width);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      std::uint8_t* p = picture.source().row(y) + x * 3;
      p[0] = static_cast<std::uint8_t>(y), p[1] = static_cast<std::uint8_t>(x), p[2] = 200;
    }
  picture.reset();
  return picture;
}
std::vector<float> written(const Picture& picture, const Normalization& n = {}) {
  std::vector<float> out(picture.height() * picture.width() * 3);
  picture.write(n, out.data());
  return out;
}
Random stream(std::uint64_t index) { return {7, Purpose::kAugment, 0, index}; }
std::string parse_error(const std::string& text) {
  return error_of<ValueError>([&] { Pipeline::parse(text); });
}

}  // namespace

TEST_CASE("picture: crops and flips noted give the same floats as crops and flips done") {
  const Normalization norm = normalization("cifar10");
  for (std::uint64_t i = 0; i < 200; ++i) {
    CAPTURE(i);
    Random random = stream(i);
    Picture lazy = coordinates(9, 11), eager = coordinates(9, 11);
    for (int step = 0; step < 4; ++step) {
      if (random.chance(0.4f)) {
        lazy.flip(), eager.flip();
      } else {
        const int h = 3 + static_cast<int>(random.below(8)), w = 3 + static_cast<int>(random.below(8));
        const Box box{static_cast<int>(random.below(9)) - 4, static_cast<int>(random.below(9)) - 4, h, w};
        lazy.crop(box), eager.crop(box);
      }
      eager.pixels();
    }
    REQUIRE(written(lazy, norm) == written(eager, norm));
    lazy.pixels();
    REQUIRE(written(lazy, norm) == written(eager, norm));
  }
}

TEST_CASE("picture: normalisation is (byte / 255 - mean) / std, in the order asked for") {
  Picture picture = coordinates(2, 2);
  picture.shift({0.1f, 0, 0});
  const std::vector<float> rgb = written(picture, {{0.5f, 0.4f, 0.3f}, {0.2f, 0.25f, 0.5f}});
  CHECK(rgb[9] == doctest::Approx((1 / 255.0 + 0.1 - 0.5) / 0.2));
  CHECK(rgb[10] == doctest::Approx((1 / 255.0 - 0.4) / 0.25));
  CHECK(rgb[11] == doctest::Approx((200 / 255.0 - 0.3) / 0.5));
  const std::vector<float> bgr = written(picture, {{0.5f, 0.4f, 0.3f}, {0.2f, 0.25f, 0.5f}, true});
  CHECK(bgr[9] == rgb[11]);
  CHECK(bgr[11] == rgb[9]);
  Picture plain = coordinates(1, 1);
  CHECK(written(plain, normalization("caffe"))[0] == doctest::Approx(200 - 104));
}

TEST_CASE("picture: wide rows are mirrored too") {
  Picture picture = coordinates(1, 3000), same = coordinates(1, 3000);
  picture.flip();
  const std::vector<float> a = written(picture), b = written(same);
  for (int x : {0, 1, 1500, 2999}) CHECK(a[x * 3 + 1] == b[(2999 - x) * 3 + 1]);
}

TEST_CASE("random_crop: every place within the padding occurs, nothing else, and padding is black") {
  const TransformPtr crop = random_crop(8, 2);
  std::set<std::pair<int, int>> places;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    Picture picture = coordinates(8, 8);
    Random random = stream(i);
    crop->apply(picture, random);
    const Image& image = picture.pixels();
    REQUIRE(image.height == 8);
    REQUIRE(image.width == 8);
    const std::uint8_t* p = image.row(4) + 4 * 3;  // never in the padding
    places.emplace(p[0] - 4, p[1] - 4);
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 8; ++x) {
        const int from_y = y + p[0] - 4, from_x = x + p[1] - 4;
        const bool inside = from_y >= 0 && from_y < 8 && from_x >= 0 && from_x < 8;
        REQUIRE(int{image.row(y)[x * 3 + 2]} == (inside ? 200 : 0));
      }
  }
  CHECK(places.size() == 25);
  CHECK(places.begin()->first == -2);
  CHECK(places.rbegin()->first == 2);
}

TEST_CASE("random_crop: larger than the padded picture is an error with both sizes") {
  Picture picture = coordinates(8, 30);
  Random random = stream(0);
  CHECK(error_of<ValueError>([&] { random_crop(32, 4)->apply(picture, random); }) ==
        "random_crop: 32 x 32 does not fit in a picture of 8 x 30 with padding 4");
}

TEST_CASE("flip: half of the pictures, all of them, none") {
  const auto flipped = [](float probability) {
    int count = 0;
    for (std::uint64_t i = 0; i < 2000; ++i) {
      Picture picture = coordinates(1, 2);
      Random random = stream(i);
      random_flip(probability)->apply(picture, random);
      count += picture.pixels().pixels[1] == 1;
    }
    return count;
  };
  CHECK(flipped(1) == 2000);
  CHECK(flipped(0) == 0);
  CHECK(std::abs(flipped(0.5f) - 1000) < 100);
}

TEST_CASE("center_crop: the middle, halves to the even side as in Python, black where the picture is smaller") {
  const auto top_left = [](int height, int width, int size) {
    Picture picture = coordinates(height, width);
    Random random = stream(0);
    center_crop(size)->apply(picture, random);
    const Image& image = picture.pixels();
    return std::pair<int, int>(image.pixels[0], image.pixels[1]);
  };
  CHECK(top_left(10, 20, 4) == std::pair(3, 8));
  CHECK(top_left(7, 9, 4) == std::pair(2, 2));  // 1.5 and 2.5 both round to 2
  Picture picture = coordinates(2, 2);
  Random random = stream(0);
  center_crop(4)->apply(picture, random);
  CHECK(int{picture.pixels().row(0)[2]} == 0);
  CHECK(int{picture.pixels().row(1)[3 + 2]} == 200);
}

TEST_CASE("resize: the shorter side becomes the size, the longer keeps proportion, rounded down") {
  const auto size = [](int height, int width, int side) {
    Picture picture = coordinates(height, width);
    Random random = stream(0);
    resize_short_side(side)->apply(picture, random);
    return std::pair(picture.height(), picture.width());
  };
  CHECK(size(30, 50, 20) == std::pair(20, 33));
  CHECK(size(50, 30, 20) == std::pair(33, 20));
  CHECK(size(5, 5, 7) == std::pair(7, 7));
}

TEST_CASE("random_resized_crop: areas and ratios lie in their ranges, the size is exact") {
  const TransformPtr transform = random_resized_crop(16, {0.2f, 0.5f}, {0.5f, 2});
  for (std::uint64_t i = 0; i < 300; ++i) {
    Picture picture = coordinates(100, 120);
    Random random = stream(i);
    transform->apply(picture, random);
    const Image& image = picture.pixels();
    REQUIRE(image.height == 16);
    REQUIRE(image.width == 16);
    // Pixels hold their source's coordinates: the box is as wide as they spread, times 16/15 for the ends' half pixels.
    const double h = (image.row(15)[0] - image.row(0)[0]) * 16.0 / 15,
                 w = (image.row(0)[15 * 3 + 1] - image.row(0)[1]) * 16.0 / 15;
    const double area = h * w / (100 * 120), ratio = w / h;
    REQUIRE(area > 0.2 * 0.85);
    REQUIRE(area < 0.5 * 1.15);
    REQUIRE(ratio > 0.5 * 0.9);
    REQUIRE(ratio < 2 * 1.1);
  }
}

TEST_CASE("random_resized_crop: a picture too long for any allowed box gives its middle") {
  Picture picture = coordinates(2, 250);
  Random random = stream(0);
  random_resized_crop(2, {1, 1}, {1, 1})->apply(picture, random);
  CHECK(int{picture.pixels().pixels[1]} == 124);
}

TEST_CASE("cutout: erases a square to the mean colour, cut at the edge, mirrored by a later flip") {
  for (std::uint64_t i = 0; i < 50; ++i) {
    Picture picture = coordinates(8, 8), mirror = coordinates(8, 8);
    Random a = stream(i), b = stream(i);
    cutout(4)->apply(picture, a), cutout(4)->apply(mirror, b);
    mirror.flip();
    const std::vector<float> out = written(picture), mirrored = written(mirror);
    int zeros = 0;
    for (int p = 0; p < 64; ++p) {
      zeros += out[p * 3 + 2] == 0;
      REQUIRE((out[p * 3 + 2] == 0) == (mirrored[(p / 8 * 8 + 7 - p % 8) * 3 + 2] == 0));
    }
    REQUIRE(zeros >= 4);
    REQUIRE(zeros <= 16);
  }
}

TEST_CASE("pca_color: every pixel moves by one amount, of the size the paper's constants give") {
  double square = 0;
  constexpr int kTrials = 2000;
  for (std::uint64_t i = 0; i < kTrials; ++i) {
    Picture picture = coordinates(1, 2), plain = coordinates(1, 2);
    Random random = stream(i);
    pca_color(0.1f)->apply(picture, random);
    const std::vector<float> out = written(picture), base = written(plain);
    REQUIRE(out[0] - base[0] == doctest::Approx(out[3] - base[3]).epsilon(1e-4));
    square += std::pow(out[0] - base[0], 2);
  }
  const double expected =
      0.1 * std::sqrt(std::pow(0.2175 * 0.5675, 2) + std::pow(0.0188 * 0.7192, 2) + std::pow(0.0045 * 0.4009, 2));
  CHECK(std::sqrt(square / kTrials) == doctest::Approx(expected).epsilon(0.05));
}

TEST_CASE("color_jitter: without strength nothing changes; with it colours do, and the same stream gives the same") {
  Picture a = coordinates(6, 6), b = coordinates(6, 6), c = coordinates(6, 6);
  const Image before = a.pixels();
  Random r0 = stream(1), r1 = stream(1), r2 = stream(1);
  color_jitter({})->apply(a, r0);
  CHECK(a.pixels().pixels == before.pixels);
  const TransformPtr jitter = color_jitter({0.4f, 0.4f, 0.4f, 0.1f});
  jitter->apply(b, r1), jitter->apply(c, r2);
  CHECK(b.pixels().pixels == c.pixels().pixels);
  CHECK(b.pixels().pixels != before.pixels);
}

TEST_CASE("pipeline: the description is read back to the same pipeline") {
  const std::string text =
      "random_resized_crop(224, area=0.1 0.9) | flip | color_jitter(brightness=0.4, hue=0.1) | pca_color | cutout(16) "
      "| "
      "normalize(imagenet) | mixup(0.2) | cutmix";
  const Pipeline pipeline = Pipeline::parse(text);
  CHECK(pipeline.describe() ==
        "random_resized_crop(224 224, area=0.1 0.9, ratio=0.75 1.3333334) | flip(0.5) | color_jitter(brightness=0.4, "
        "contrast=0, saturation=0, hue=0.1) | pca_color(0.1) | cutout(16) | normalize(imagenet) | mixup(0.2) | "
        "cutmix(1)");
  CHECK(Pipeline::parse(pipeline.describe()).describe() == pipeline.describe());
  CHECK(Pipeline::parse("").describe() == "normalize(none)");
  CHECK(Pipeline::parse("normalize(mean=0.5, std=0.1 0.2 0.3)").describe() ==
        "normalize(mean=0.5 0.5 0.5, std=0.1 0.2 0.3)");
  CHECK(Pipeline::parse("resize(256)|center_crop(224 200)|random_resize(256 480)").describe() ==
        "resize(256) | center_crop(224 200) | random_resize(256 480) | normalize(none)");
}

TEST_CASE("pipeline: what cannot be read is named") {
  CHECK(parse_error("random_crp(32)") == "transform: there is no 'random_crp'; the nearest is 'random_crop'");
  CHECK(parse_error("normalise(cifar10)") == "transform: there is no 'normalise'; the nearest is 'normalize'");
  CHECK(parse_error("normalize(cifar)") == "normalize: there is no 'cifar'; the nearest is 'cifar10'");
  CHECK(parse_error("random_crop(32, pad=4)") == "random_crop: there is no argument 'pad'");
  CHECK(parse_error("random_crop") == "random_crop: needs an argument");
  CHECK(parse_error("random_crop(a)") == "random_crop: its argument is 'a', not a number");
  CHECK(parse_error("random_crop(1.5)") == "random_crop: 1.5 is not a usable whole number");
  CHECK(parse_error("random_crop(1 2 3)") == "random_crop: its argument takes 1 to 2 numbers, not 3");
  CHECK(parse_error("random_crop(0)") == "random_crop: the size must be in 1..32768, not 0 x 0");
  CHECK(parse_error("flip(2)") == "flip: the probability must be in [0, 1], not 2");
  CHECK(parse_error("flip(0.5") == "transform: 'flip(0.5' is not of the form name or name(arguments)");
  CHECK(parse_error("flip | | cutout(3)") == "transform: there is nothing between two '|' of 'flip | | cutout(3)'");
  CHECK(parse_error("random_crop(3, padding=1, padding=2)") == "random_crop: argument 'padding' is given twice");
  CHECK(parse_error("mixup(0)") == "mixup: alpha must be positive, not 0");
  CHECK(parse_error("normalize(mean=0.5, std=0)") == "normalize: std must be positive, and 0 is not");
  CHECK(parse_error("random_resized_crop(8, area=0 2)") ==
        "random_resized_crop: the area must be a range in (0, 1], not 0 2");
}

TEST_CASE("pipeline: transforms keep the order of their kinds") {
  CHECK(parse_error("cutout(4) | resize(8)") == "resize(8): must stand before cutout(4)");
  CHECK(parse_error("pca_color | color_jitter") ==
        "color_jitter(brightness=0, contrast=0, saturation=0, hue=0): must stand before pca_color(0.1)");
  CHECK(parse_error("normalize(half) | flip") == "flip: comes after normalize, which ends the work on a picture");
  CHECK(parse_error("cutout(4) | flip") == "");
}

}  // namespace gradus::data
