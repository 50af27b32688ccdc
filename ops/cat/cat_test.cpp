#include "ops/cat/cat.hpp"

#include <doctest/doctest.h>

#include "ops/candidates.hpp"
#include "ops/pointwise/binary.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {

TEST_CASE("cat: its parts are the operands, along any dim and in any layout") {
  for (const Shape& shape : {Shape{3}, Shape{2, 3}, Shape{2, 3, 4, 5}})
    for (const Tensor& a : layouts(shape, DType::f32))
      for (const Tensor& b : layouts(shape, DType::f32))
        for (int dim = 0; dim < a.rank(); ++dim) {
          const Tensor y = cat({a, b, a}, dim);
          const auto parts = split(y, a.shape()[dim], dim);
          REQUIRE(parts.size() == 3);
          CHECK(parts[0].to_vector<float>() == a.to_vector<float>());
          CHECK(parts[1].to_vector<float>() == b.to_vector<float>());
          CHECK(parts[2].to_vector<float>() == a.to_vector<float>());
          const ForceKernel reference("cat", "reference");
          CHECK(cat({a, b, a}, dim).to_vector<float>() == y.to_vector<float>());
        }
}

TEST_CASE("cat: of channels-last tensors is channels-last; one that is not makes it contiguous") {
  const Tensor a = rand({2, 3, 4, 5}, {.format = Format::channels_last}),
               b = rand({2, 7, 4, 5}, {.format = Format::channels_last});
  CHECK(cat({a, b}, 1).is_contiguous(Format::channels_last));
  CHECK(cat({a, contiguous(b)}, 1).is_contiguous());
}

TEST_CASE("cat: takes any dtype, empty parts and a single tensor") {
  CHECK(cat({arange(0, 2), arange(5, 7)}, 0).to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 5, 6});
  CHECK(cat({zeros({2, 0}), ones({2, 1})}, 1).to_vector<float>() == std::vector<float>{1, 1});
  CHECK(cat({ones({2})}, -1).shape() == Shape{2});
}

TEST_CASE("cat, stack, split and chunk: gradients and gradients of gradients agree with differences") {
  for (const Shape& shape : {Shape{3}, Shape{2, 3}, Shape{1, 3, 2, 2}, Shape{0, 3}}) {
    const Tensor a = layouts(shape)[0], b = layouts(shape)[0];
    for (int dim = 0; dim < a.rank(); ++dim) {
      check_gradients([&](const auto& in) { return square(cat({in[0], in[1], in[0]}, dim)); }, {a, b});
      check_gradients([&](const auto& in) { return square(stack({in[0], in[1]}, dim)); }, {a, b});
    }
    check_gradients([](const auto& in) { return square(chunk(in[0], 2, -1).back()); }, {a});
    check_gradients([](const auto& in) { return square(split(in[0], 1, -1)[1]); }, {a});
  }
}

TEST_CASE("stack: adds a dim where it is asked for") {
  const Tensor a = from_data({1, 2}, {2}), b = from_data({3, 4}, {2});
  CHECK(stack({a, b}).to_vector<float>() == std::vector<float>{1, 2, 3, 4});
  CHECK(stack({a, b}, 1).to_vector<float>() == std::vector<float>{1, 3, 2, 4});
  CHECK(stack({a, b}, -1).shape() == Shape{2, 2});
}

TEST_CASE("split and chunk: views of consecutive parts, the last one perhaps smaller") {
  const Tensor x = arange(0, 7);
  const auto sizes = [](const std::vector<Tensor>& parts) {
    std::vector<std::int64_t> all;
    for (const Tensor& p : parts) all.push_back(p.numel());
    return all;
  };
  CHECK(sizes(split(x, 3, 0)) == std::vector<std::int64_t>{3, 3, 1});
  CHECK(sizes(split(x, {2, 0, 5}, 0)) == std::vector<std::int64_t>{2, 0, 5});
  CHECK(sizes(chunk(x, 3, 0)) == std::vector<std::int64_t>{3, 3, 1});
  CHECK(sizes(chunk(x, 5, 0)) == std::vector<std::int64_t>{2, 2, 2, 1});
  CHECK(split(x, 3, 0)[1].shares_storage(x));
}

TEST_CASE("cat, stack, split: errors name the rule and show the operands") {
  CHECK_THROWS_WITH_AS(cat({zeros({2, 3}), zeros({3, 3})}, 1),
                       "cat: sizes differ in another dim than 1\n  x0  f32 [2, 3]  cpu\n  x1  f32 [3, 3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(
      cat({zeros({2}), arange(0, 2)}, 0),
      "cat: operands have different dtypes (convert with to())\n  x0  f32 [2]  cpu\n  x1  i64 [2]  cpu", DTypeError);
  CHECK_THROWS_WITH_AS(cat({}, 0), "cat: of no tensors", ShapeError);
  CHECK_THROWS_WITH_AS(stack({zeros({2}), zeros({3})}), "stack: shapes differ\n  x0  f32 [2]  cpu\n  x1  f32 [3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(split(zeros({5}), {2, 2}, 0),
                       "split: sizes [2, 2] do not make up dim 0 of size 5\n  x  f32 [5]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(split(zeros({5}), 0, 0), "split: size 0 is not positive", ValueError);
}

}  // namespace gradus
