#include "ops/upsample/upsample.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "ops/candidates.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

const InterpolateOptions kCases[] = {
    {.size = Pair(5, 7)},
    {.size = Pair(2, 1)},
    {.scale_factor = 2.0},
    {.scale_factor = 0.5},
    {.size = Pair(5, 7), .mode = Interpolation::bilinear},
    {.size = Pair(2, 3), .mode = Interpolation::bilinear, .align_corners = true},
    {.size = Pair(1, 1), .mode = Interpolation::bilinear, .align_corners = true},
    {.scale_factor = 1.7, .mode = Interpolation::bilinear},
};

}  // namespace

TEST_CASE("interpolate: nearest repeats or drops pixels") {
  const Tensor x = from_data({1, 2, 3, 4}, {1, 1, 2, 2});
  CHECK(interpolate(x, {.scale_factor = 2.0}).to_vector<float>() ==
        std::vector<float>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  CHECK(interpolate(x, {.size = Pair(1, 1)}).item() == 1);
}

TEST_CASE("interpolate: bilinear with align_corners keeps the corners, without it the outer half pixels") {
  const Tensor x = from_data({0, 4}, {1, 1, 1, 2});
  CHECK(
      interpolate(x, {.size = Pair(1, 5), .mode = Interpolation::bilinear, .align_corners = true}).to_vector<float>() ==
      std::vector<float>{0, 1, 2, 3, 4});
  CHECK(interpolate(x, {.size = Pair(1, 4), .mode = Interpolation::bilinear}).to_vector<float>() ==
        std::vector<float>{0, 1, 3, 4});
}

TEST_CASE("interpolate: whole pixels agree with the reference, forward and backward") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 70, 3, 2}, Shape{2, 2, 1, 1}, Shape{0, 3, 2, 2}})
      for (const Tensor& x : layouts(shape, dtype))
        for (const InterpolateOptions& options : kCases) {
          if (options.scale_factor && *options.scale_factor < 1 && x.size(2) < 2) continue;
          set_requires_grad(x);
          const auto value_and_gradient = [&] {
            const Tensor y = interpolate(x, options);
            const Tensor seed = ones_like(y);
            auto all = y.to_vector<double>(), g = grad({y}, {x}, {.seeds = {seed}})[0].to_vector<double>();
            all.insert(all.end(), g.begin(), g.end());
            return all;
          };
          const auto fast = value_and_gradient();
          const ForceKernel a("interpolate", "reference"), b("interpolate.backward", "reference");
          const auto slow = value_and_gradient();
          for (std::size_t i = 0; i < slow.size(); ++i)
            CHECK(std::abs(fast[i] - slow[i]) <= (dtype == DType::f32 ? 1e-5 : 1e-13));
        }
}

TEST_CASE("interpolate: gradients and gradients of gradients agree with differences") {
  for (const Shape& shape : {Shape{1, 2, 3, 4}, Shape{2, 1, 2, 2}, Shape{2, 2, 1, 1}, Shape{0, 2, 3, 3}})
    for (const InterpolateOptions& options : kCases) {
      if (options.scale_factor && *options.scale_factor < 1 && shape[2] < 2) continue;  // no pixel would be left
      check_gradients([&](const auto& in) { return interpolate(in[0], options); }, {layouts(shape)[0]});
    }
}

TEST_CASE("interpolate: keeps channels-last") {
  const Tensor x = rand({2, 3, 4, 5}, {.format = Format::channels_last});
  CHECK(interpolate(x, {.scale_factor = 2.0}).is_contiguous(Format::channels_last));
}

TEST_CASE("interpolate: options that say too little, too much or nothing possible are refused") {
  const Tensor x = zeros({1, 1, 2, 2});
  CHECK_THROWS_WITH_AS(interpolate(x, {}), "interpolate: exactly one of size and scale_factor is to be given",
                       ValueError);
  CHECK_THROWS_WITH_AS(interpolate(x, {.size = Pair(3, 3), .align_corners = true}),
                       "interpolate: align_corners is for bilinear interpolation", ValueError);
  CHECK_THROWS_WITH_AS(interpolate(x, {.scale_factor = 0.3}),
                       "interpolate: the result's size 0 x 0 is not positive\n  x  f32 [1, 1, 2, 2]  cpu", ValueError);
  CHECK_THROWS_WITH_AS(interpolate(zeros({2, 2}), {.scale_factor = 2.0}),
                       "interpolate: needs [N,C,H,W] with a plane\n  x  f32 [2, 2]  cpu", ShapeError);
}

}  // namespace gradus
