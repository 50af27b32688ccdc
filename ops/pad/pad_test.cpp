#include "ops/pad/pad.hpp"

#include <doctest/doctest.h>

#include "ops/candidates.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {

TEST_CASE("pad: names the last dim first") {
  const Tensor x = from_data({1, 2, 3, 4}, {2, 2});
  CHECK(pad(x, {1, 0}).to_vector<float>() == std::vector<float>{0, 1, 2, 0, 3, 4});
  CHECK(pad(x, {0, 0, 0, 1}, 9).to_vector<float>() == std::vector<float>{1, 2, 3, 4, 9, 9});
  CHECK(pad(zeros({2, 3, 4, 5}), {1, 2, 0, 3, 1, 2}).shape() == Shape{2, 6, 7, 8});
}

TEST_CASE("pad: one pass over the rows agrees with fill and copy in every layout") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{3}, Shape{2, 3}, Shape{2, 3, 4, 5}, Shape{2, 1, 3, 1}, Shape{0, 2, 3, 3}})
      for (const Tensor& x : layouts(shape, dtype))
        for (const Dims& padding :
             {Dims{2, 1}, Dims{0, 1, 3, 0}, Dims{0, 0, 0, 0, 1, 2}, Dims{1, 1, 1, 1, 1, 1, 1, 1}}) {
          if (padding.size() / 2 > x.rank()) continue;
          const auto fast = pad(x, padding, 0.5).to_vector<double>();
          const ForceKernel reference("pad", "reference");
          CHECK(fast == pad(x, padding, 0.5).to_vector<double>());
        }
}

TEST_CASE("pad: keeps channels-last, also for every second pixel of a channels-last tensor") {
  const Tensor x = rand({2, 3, 4, 6}, {.format = Format::channels_last});
  CHECK(pad(x, {1, 1, 1, 1}).is_contiguous(Format::channels_last));
  const Tensor strided = slice(slice(x, 2, 0, 4, 2), 3, 0, 6, 2);
  CHECK(pad(strided, {0, 0, 0, 0, 1, 2}).is_contiguous(Format::channels_last));
}

TEST_CASE("pad: gradients and gradients of gradients agree with differences") {
  for (const Shape& shape : {Shape{3}, Shape{2, 3, 2, 2}, Shape{2, 1}, Shape{0, 2}})
    for (const Dims& padding : {Dims{2, 1}, Dims{}, Dims{0, 1, 3, 0}}) {
      if (padding.size() / 2 > shape.size()) continue;
      check_gradients([&](const auto& in) { return pad(in[0], padding, 1.5); }, {layouts(shape)[0]});
    }
}

TEST_CASE("pad: negative, odd and too many values are refused") {
  CHECK_THROWS_WITH_AS(pad(zeros({2, 2}), {-1, 0}),
                       "pad: negative padding in [-1, 0] (use narrow to cut)\n  x  f32 [2, 2]  cpu", ValueError);
  CHECK_THROWS_WITH_AS(pad(zeros({2}), {1, 0, 1}),
                       "pad: [1, 0, 1] does not give two numbers for each of the last dims\n  x  f32 [2]  cpu",
                       ShapeError);
  CHECK_THROWS_AS(pad(zeros({2}), {1, 0, 1, 0}), ShapeError);
}

}  // namespace gradus
