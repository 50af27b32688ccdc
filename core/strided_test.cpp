#include "core/strided.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <vector>

namespace gradus {
namespace {

/// How often each element of operand 0 (of `held` elements) is visited, with a small grain so that chunks are cut.
std::vector<int> visits(const Shape& shape, const Strides& strides, std::size_t held, std::int64_t grain) {
  std::vector<std::atomic<int>> counts(held);
  const StridedLoop<1> loop(shape, {&strides});
  loop.run(grain, [&](const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(at[0] + i * loop.inner_stride(0))];
  });
  return {counts.begin(), counts.end()};
}

}  // namespace

TEST_CASE("strided loop: a dense tensor of any format is one dimension") {
  const Shape shape{2, 3, 4, 5};
  for (const Format format : {Format::contiguous, Format::channels_last}) {
    const Strides s = dense_strides(shape, format);
    const StridedLoop<2> loop(shape, {&s, &s});
    CHECK(loop.rank == 1);
    CHECK(loop.inner() == 120);
    CHECK(loop.inner_stride(1) == 1);
  }
}

TEST_CASE("strided loop: walks in the memory order of the first operand") {
  const Shape shape{2, 3, 4, 5};
  const Strides last = dense_strides(shape, Format::channels_last), first = dense_strides(shape, Format::contiguous);
  const StridedLoop<2> loop(shape, {&last, &first});
  CHECK(loop.rank == 3);
  CHECK(loop.inner() == 3);  // channels
  CHECK(loop.inner_stride(0) == 1);
  CHECK(loop.inner_stride(1) == 20);
}

TEST_CASE("strided loop: visits every element once, whatever the shape, strides and grain") {
  struct Case {
    Shape shape;
    Strides strides;
    std::size_t held;
  };
  const Case cases[] = {
      {{}, {}, 1},
      {{1, 1}, {7, 9}, 1},
      {{0}, {1}, 0},
      {{3, 0, 2}, {2, 2, 1}, 0},
      {{100}, {1}, 100},
      {{4, 5}, {5, 1}, 20},
      {{5, 4}, {1, 5}, 20},
      {{2, 3, 4}, {12, 1, 3}, 24},
      {{3, 7, 1, 11}, {77, 11, 5, 1}, 231},
  };
  for (const Case& c : cases)
    for (const std::int64_t grain : {1, 3, 16, 1000}) {
      CAPTURE(to_string(c.shape));
      CAPTURE(grain);
      CHECK(visits(c.shape, c.strides, c.held, grain) == std::vector<int>(c.held, 1));
    }
}

TEST_CASE("strided loop: skips the gaps of a view and follows negative strides") {
  const auto counts = visits({3, 2}, {4, 2}, 12, 2);  // every other column of a 3 x 4
  CHECK(counts == std::vector<int>{1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0});
  const Strides backwards{-1};
  const StridedLoop<1> loop({5}, {&backwards});
  CHECK(loop.inner_stride(0) == -1);
  CHECK(loop.inner() == 5);
}

TEST_CASE("strided loop: a broadcast operand has stride 0 and is not merged with what moves") {
  const Shape shape{4, 6};
  const Strides y = dense_strides(shape, Format::contiguous), row{0, 1}, column{1, 0}, all{0, 0};
  const StridedLoop<2> rows(shape, {&y, &row});
  CHECK(rows.rank == 2);
  CHECK(rows.offsets(3)[0] == 18);
  CHECK(rows.offsets(3)[1] == 0);
  const StridedLoop<2> columns(shape, {&y, &column});
  CHECK(columns.inner_stride(1) == 0);
  CHECK(columns.offsets(3)[1] == 3);
  const StridedLoop<2> scalar(shape, {&y, &all});
  CHECK(scalar.rank == 1);
}

}  // namespace gradus
