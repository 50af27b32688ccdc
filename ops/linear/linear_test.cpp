#include "ops/linear/linear.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/pointwise/binary.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {

TEST_CASE("linear: is x W^T + b for x of any rank and layout") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{4}, Shape{1, 4}, Shape{3, 4}, Shape{2, 3, 4}, Shape{2, 2, 3, 4}, Shape{0, 4}})
      for (const Tensor& x : layouts(shape, dtype))
        for (const Tensor& weight : layouts({5, 4}, dtype))
          for (const Tensor& bias : layouts({5}, dtype)) {
            const auto y = linear(x, weight, bias), expected = matmul(x, transpose(weight, 0, 1)) + bias;
            REQUIRE(y.shape() == expected.shape());
            const auto u = y.to_vector<double>(), v = expected.to_vector<double>();
            for (std::size_t i = 0; i < u.size(); ++i)
              CHECK(std::abs(u[i] - v[i]) <= (dtype == DType::f32 ? 1e-5 : 1e-14));
          }
}

TEST_CASE("linear: gradients and gradients of gradients agree with differences, with and without bias") {
  for (const Shape& shape : {Shape{3}, Shape{1, 3}, Shape{2, 3}, Shape{2, 2, 3}, Shape{0, 3}})
    for (const Tensor& x : layouts(shape))
      for (const Tensor& weight : layouts({2, 3})) {
        const Tensor bias = layouts({2})[0];
        for (const Tensor& leaf : {x, weight, bias}) set_requires_grad(leaf);
        const auto with = [](const auto& in) { return linear(in[0], in[1], in[2]); };
        const auto without = [](const auto& in) { return linear(in[0], in[1]); };
        CHECK_NOTHROW(gradcheck(with, {x, weight, bias}));
        CHECK_NOTHROW(gradgradcheck(with, {x, weight, bias}));
        CHECK_NOTHROW(gradcheck(without, {x, weight}));
        CHECK_NOTHROW(gradgradcheck(without, {x, weight}));
      }
}

TEST_CASE("linear: errors name the rule and show the operands") {
  CHECK_THROWS_WITH_AS(linear(zeros({2, 3}), zeros({5, 4})),
                       "linear: weight reads 4 features, x has 3\n  x       f32 [2, 3]  cpu\n  weight  f32 [5, 4]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(linear(zeros({2, 4}), zeros({5, 4}), zeros({4})),
                       "linear: weight gives 5 features, bias has another number\n  x       f32 [2, 4]  cpu\n"
                       "  weight  f32 [5, 4]  cpu\n  bias    f32 [4]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(linear(zeros({4}), zeros({4})),
                       "linear: the weight is [out, in]\n  x       f32 [4]  cpu\n  weight  f32 [4]  cpu", ShapeError);
  CHECK_THROWS_AS(linear(zeros({2, 4}), zeros({5, 4}, {.dtype = DType::f64})), DTypeError);
}

}  // namespace gradus
