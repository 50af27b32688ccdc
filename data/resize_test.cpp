#include "data/resize.hpp"

#include <algorithm>

#include "data/data_test_support.hpp"
#include "data/sha256.hpp"

namespace gradus::data {

TEST_CASE("resize: the bytes are Pillow's, smaller, larger, one side only, one pixel, the same size") {
  const Image in = noise_image(37, 53);
  const struct {
    int height, width;
    const char* digest;  // of Image.resize((width, height), BILINEAR) by Pillow
  } cases[] = {{16, 24, "d745f4095889737946ea28f2741c8a538a3b3487b63d2ad3f807e968e6265b9c"},
               {64, 80, "086ad5e81a291bab67954ccd84827c612bd51b97df35691230e756a5587ea657"},
               {37, 20, "d8773d80ef7af3cf0c6b28e347096fcbc2989b2a9d23e03360769825a6adc06b"},
               {11, 53, "d81d6c13bebe48702add8076864d5080a564d669b87fc14110a691034ba21a08"},
               {1, 1, "35b646c8a59e428773225e63a34257842a8aa528884fb627d068250d3397ad95"},
               {37, 53, "d5cabd35b486b24fd0161af4437f424f8c660323a9226fa71b68d1064e4c652f"},
               {256, 300, "93c63a23d4fe068be7341fc3530cbbb4e5a76d09b9dd33521c258b0da4315a0f"}};
  for (const auto& c : cases) {
    CAPTURE(c.height);
    CAPTURE(c.width);
    Image out;
    resize(in, {0, 0, 37, 53}, c.height, c.width, out);
    CHECK(sha256(out.pixels) == c.digest);
  }
}

TEST_CASE("resize: of a box is the same as cropping first") {
  const Image in = noise_image(37, 53);
  Image out, part, expected;
  resize(in, {3, 5, 30, 40}, 32, 32, out);
  crop(in, {3, 5, 30, 40}, part);
  resize(part, {0, 0, 30, 40}, 32, 32, expected);
  CHECK(out.pixels == expected.pixels);
  CHECK(sha256(out.pixels) == "7aab082b34cf9dd3425b1001dcee61079c4eb7f8babe064d09766f3ad7bab022");  // Pillow's
}

TEST_CASE("resize: a picture of one colour stays so") {
  Image in, out;
  in.resize(19, 7);
  std::fill(in.pixels.begin(), in.pixels.end(), 201);
  resize(in, {0, 0, 19, 7}, 5, 40, out);
  CHECK(std::all_of(out.pixels.begin(), out.pixels.end(), [](int v) { return v == 201; }));
}

TEST_CASE("resize and crop: a box outside the picture and an empty result are errors") {
  const Image in = noise_image(4, 6);
  Image out;
  CHECK(error_of<ValueError>([&] {
          crop(in, {2, 0, 3, 6}, out);
        }) == "crop: the box of 3 x 6 at (2, 0) does not lie in a picture of 4 x 6");
  CHECK(error_of<ValueError>([&] {
          resize(in, {0, -1, 4, 4}, 2, 2, out);
        }) == "resize: the box of 4 x 4 at (0, -1) does not lie in a picture of 4 x 6");
  CHECK(error_of<ValueError>([&] { resize(in, {0, 0, 4, 6}, 0, 2, out); }) == "resize: cannot make a picture of 0 x 2");
}

}  // namespace gradus::data
