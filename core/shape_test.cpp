#include "core/shape.hpp"

#include <doctest/doctest.h>

namespace gradus {

TEST_CASE("shape: numel is the product of the sizes, and 1 for a scalar") {
  CHECK(numel({}) == 1);
  CHECK(numel({3}) == 3);
  CHECK(numel({2, 3, 4}) == 24);
  CHECK(numel({2, 0, 4}) == 0);
}

TEST_CASE("shape: a negative size and too many elements are ShapeErrors") {
  CHECK_THROWS_WITH_AS(numel({2, -1}), "shape: negative size in [2, -1]", ShapeError);
  const std::int64_t big = std::int64_t{1} << 40;
  CHECK_THROWS_AS(numel({big, big}), ShapeError);
  CHECK_THROWS_AS(numel({std::int64_t{1} << 59}), ShapeError);  // its bytes would still fit in 63 bits only as u8
  CHECK(numel({(std::int64_t{1} << 59) - 1}) == (std::int64_t{1} << 59) - 1);
  CHECK_THROWS_AS(numel({0, big, big}), ShapeError);  // its strides would overflow
}

TEST_CASE("shape: holds at most eight dimensions") {
  Shape shape{1, 1, 1, 1, 1, 1, 1, 1};
  CHECK_THROWS_WITH_AS(shape.push_back(1), "shape: more than 8 dimensions", ShapeError);
}

TEST_CASE("shape: insert and erase move what follows") {
  Dims d{1, 2, 4};
  d.insert(2, 3);
  CHECK(d == Dims{1, 2, 3, 4});
  d.insert(0, 0);
  CHECK(d == Dims{0, 1, 2, 3, 4});
  d.erase(1);
  CHECK(d == Dims{0, 2, 3, 4});
  d.erase(3);
  CHECK(d == Dims{0, 2, 3});
  CHECK(d.back() == 3);
}

TEST_CASE("shape: prints as a list") {
  CHECK(to_string(Shape{}) == "[]");
  CHECK(to_string(Shape{8, 64, 32, 32}) == "[8, 64, 32, 32]");
}

TEST_CASE("wrap_dim: counts negative dims from the end and refuses the rest") {
  CHECK(wrap_dim("op", 0, 3) == 0);
  CHECK(wrap_dim("op", -1, 3) == 2);
  CHECK(wrap_dim("op", -3, 3) == 0);
  CHECK_THROWS_WITH_AS(wrap_dim("op", 3, 3), "op: dim 3 is out of range for 3 dimensions", ShapeError);
  CHECK_THROWS_WITH_AS(wrap_dim("op", -4, 3), "op: dim -4 is out of range for 3 dimensions", ShapeError);
  CHECK_THROWS_AS(wrap_dim("op", 0, 0), ShapeError);
}

TEST_CASE("broadcast_shapes: aligns at the right; sizes are equal or one of them is 1") {
  CHECK(broadcast_shapes("op", {2, 3}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast_shapes("op", {2, 3}, {}) == Shape{2, 3});
  CHECK(broadcast_shapes("op", {3}, {2, 1}) == Shape{2, 3});
  CHECK(broadcast_shapes("op", {8, 1, 6, 1}, {7, 1, 5}) == Shape{8, 7, 6, 5});
  CHECK(broadcast_shapes("op", {1}, {0}) == Shape{0});
  CHECK(broadcast_shapes("op", {0, 1}, {1, 4}) == Shape{0, 4});
  CHECK_THROWS_WITH_AS(broadcast_shapes("add", {2, 3}, {4, 3}),
                       "add: shapes [2, 3] and [4, 3] do not broadcast: sizes 2 and 4 at dim -2", ShapeError);
  CHECK_THROWS_AS(broadcast_shapes("add", {0}, {2}), ShapeError);
}

TEST_CASE("dense_strides: the last dimension is densest, or the channels of a channels-last tensor") {
  CHECK(dense_strides({2, 3, 4, 5}, Format::contiguous) == Strides{60, 20, 5, 1});
  CHECK(dense_strides({2, 3, 4, 5}, Format::channels_last) == Strides{60, 1, 15, 3});
  CHECK(dense_strides({2, 3, 4}, Format::channels_last) == Strides{12, 4, 1});  // not of rank 4
  CHECK(dense_strides({}, Format::contiguous) == Strides{});
  CHECK(dense_strides({2, 0, 3}, Format::contiguous) == Strides{3, 3, 1});
}

}  // namespace gradus
