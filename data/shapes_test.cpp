#include "data/shapes.hpp"

#include <cmath>

#include "data/data_test_support.hpp"
#include "data/sha256.hpp"

namespace gradus::data {
namespace {

std::vector<std::uint8_t> pixels_of(const Dataset& data, std::int64_t index) {
  Image image;
  REQUIRE(data.get(index, image));
  return image.pixels;
}

}  // namespace

TEST_CASE("shapes: ten classes in turn, pictures of 32 x 32") {
  const Shapes data({.size = 100});
  CHECK(data.size() == 100);
  CHECK(data.classes().size() == 10);
  Image image;
  for (std::int64_t i = 0; i < 100; ++i) {
    REQUIRE(data.label(i) == i % 10);
    REQUIRE(data.get(i, image));
    REQUIRE(image.height == 32);
    REQUIRE(image.width == 32);
  }
  CHECK(data.origin(7) == "shapes train 7");
}

TEST_CASE("shapes: a scene depends on seed, split and index alone") {
  const Shapes a({.size = 100}), b({.size = 20'000}), validation({.size = 100, .train = false}),
      other({.size = 100, .seed = 1});
  CHECK(pixels_of(a, 42) == pixels_of(b, 42));
  CHECK(pixels_of(a, 42) == pixels_of(a, 42));
  CHECK(pixels_of(a, 42) != pixels_of(a, 52));
  CHECK(pixels_of(a, 42) != pixels_of(validation, 42));
  CHECK(pixels_of(a, 42) != pixels_of(other, 42));
}

TEST_CASE("shapes: the same bytes on every machine") {
  const Shapes data({.size = 200});
  Sha256 hash;
  for (std::int64_t i = 0; i < 200; ++i) hash.add(pixels_of(data, i));
  CHECK(hash.hex() == "1d1c0b1ac382d302aa0667264acf6bafd967e82579364635faf9897d134f00dc");
}

TEST_CASE("shapes: the mean colour of a class says nothing about it") {
  const Shapes data({.size = 2000});
  double mean[10] = {};
  for (std::int64_t i = 0; i < 2000; ++i)
    for (const std::uint8_t value : pixels_of(data, i)) mean[i % 10] += value / (200.0 * 3072);
  for (const double m : mean) CHECK(std::abs(m - 115) < 15);
}

TEST_CASE("shapes: an index outside and an empty set are errors") {
  Image image;
  CHECK(error_of<ValueError>([&] { Shapes({.size = 5}).get(5, image); }) ==
        "shapes: there is no sample 5, the last is 4");
  CHECK(contains(error_of<ValueError>([] { Shapes({.size = 0}); }), "the size must be in 1..2^32-1, not 0"));
}

TEST_CASE("in_memory: holds the same samples") {
  const Shapes data({.size = 150});
  const MemoryDataset copy = in_memory(data);
  REQUIRE(copy.size() == 150);
  for (const std::int64_t i : {0, 77, 149}) {
    CHECK(pixels_of(copy, i) == pixels_of(data, i));
    CHECK(copy.label(i) == data.label(i));
  }
}

}  // namespace gradus::data
