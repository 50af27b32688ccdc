#include "ops/view/view.hpp"

#include <doctest/doctest.h>

#include "autograd/gradcheck.hpp"
#include "ops/pointwise/unary.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

std::vector<std::int64_t> ints(const Tensor& x) { return x.to_vector<std::int64_t>(); }
using Ints = std::vector<std::int64_t>;

/// Every view of a [2, 3, 4] tensor worth differentiating.
struct Case {
  const char* name;
  Tensor (*fn)(const Tensor&);
};
const Case kCases[] = {
    {"reshape",
     [](const Tensor& x) {
       return reshape(x, {4, -1});
     }},
    {"flatten", [](const Tensor& x) { return flatten(x); }},
    {"flatten all", [](const Tensor& x) { return flatten(x, 0, -1); }},
    {"transpose", [](const Tensor& x) { return transpose(x, 0, -1); }},
    {"permute",
     [](const Tensor& x) {
       return permute(x, {2, 0, 1});
     }},
    {"narrow", [](const Tensor& x) { return narrow(x, 1, 1, 2); }},
    {"slice", [](const Tensor& x) { return slice(x, 2, 1, 4, 2); }},
    {"empty slice", [](const Tensor& x) { return slice(x, 2, 3, 1); }},
    {"select", [](const Tensor& x) { return select(x, 1, -1); }},
    {"expand",
     [](const Tensor& x) {
       return expand(narrow(x, 1, 0, 1), {5, 2, 3, -1});
     }},
    {"squeeze", [](const Tensor& x) { return squeeze(narrow(x, 1, 2, 1)); }},
    {"unsqueeze", [](const Tensor& x) { return unsqueeze(x, 1); }},
    {"contiguous", [](const Tensor& x) { return contiguous(transpose(x, 0, 1)); }},
    {"channels_last", [](const Tensor& x) { return channels_last(unsqueeze(x, 0)); }},
    {"flip", [](const Tensor& x) { return flip(x, -1); }},
};

}  // namespace

TEST_CASE("view: gradients and gradients of gradients agree with differences, from every layout") {
  for (const Case& c : kCases)
    for (const Tensor& x : layouts({2, 3, 4})) {
      CAPTURE(c.name);
      set_requires_grad(x);
      const auto fn = [&](const auto& in) { return square(c.fn(in[0])); };
      CHECK_NOTHROW(gradcheck(fn, {x}));
      CHECK_NOTHROW(gradgradcheck(fn, {x}));
    }
}

TEST_CASE("view: gradients from four dims: odd, channels-last, 1-sized and empty") {
  constexpr Tensor (*kFns[])(const Tensor&) = {
      [](const Tensor& x) { return flatten(x); },
      [](const Tensor& x) { return transpose(x, 1, -1); },
      [](const Tensor& x) {
        return permute(x, {0, 2, 3, 1});
      },
      [](const Tensor& x) { return narrow(x, 1, 1, 2); },
      [](const Tensor& x) { return slice(x, 1, 0, 3, 2); },
      [](const Tensor& x) { return select(x, 1, -1); },
      [](const Tensor& x) {
        return expand(narrow(x, 1, 0, 1), {-1, 4, -1, -1});
      },
      [](const Tensor& x) { return squeeze(x); },
      [](const Tensor& x) { return unsqueeze(x, 2); },
      [](const Tensor& x) { return contiguous(x); },
      [](const Tensor& x) { return channels_last(x); },
      [](const Tensor& x) { return flip(x, 1); },
  };
  for (const Shape& shape : {Shape{2, 3, 3, 1}, Shape{1, 3, 1, 1}, Shape{0, 3, 2, 2}})
    for (const auto view : kFns) {
      CAPTURE(to_string(shape));
      check_gradients([&](const auto& in) { return square(view(in[0])); }, {layouts(shape)[0]});
    }
}

TEST_CASE("view: views share their storage; contiguous, to and flip copy") {
  const Tensor x = rand({2, 3, 4});
  for (const Tensor& y : {reshape(x, {6, 4}), flatten(x), transpose(x, 0, 1), permute(x, {1, 2, 0}), narrow(x, 0, 1, 1),
                          slice(x, 2, 0, 4, 2), select(x, 0, 1), expand(unsqueeze(x, 0), {5, 2, 3, 4})})
    CHECK(y.shares_storage(x));
  CHECK(contiguous(x).same(x));
  CHECK_FALSE(contiguous(transpose(x, 0, 1)).shares_storage(x));
  CHECK_FALSE(flip(x, 0).shares_storage(x));
}

TEST_CASE("reshape: keeps logical order, infers one size, and copies only where no strides can say it") {
  const Tensor x = arange(0, 6);
  CHECK(ints(transpose(reshape(x, {2, -1}), 0, 1)) == Ints{0, 3, 1, 4, 2, 5});
  CHECK(ints(reshape(transpose(reshape(x, {2, 3}), 0, 1), {6})) == Ints{0, 3, 1, 4, 2, 5});
  CHECK(reshape(zeros({0, 3}), {0, 5}).shape() == Shape{0, 5});
  CHECK(reshape(zeros({}), {1, 1}).shape() == Shape{1, 1});
  const Tensor channels = rand({2, 3, 4, 5}, {.format = Format::channels_last});
  CHECK_FALSE(flatten(channels).shares_storage(channels));
  CHECK(flatten(channels).to_vector<float>() == channels.to_vector<float>());
  const Tensor sliced = narrow(rand({4, 6}), 1, 0, 4);
  CHECK(reshape(sliced, {4, 2, 2}).shares_storage(sliced));
  CHECK_FALSE(reshape(sliced, {16}).shares_storage(sliced));
}

TEST_CASE("slice: steps, counts from the end and clips") {
  const Tensor x = arange(0, 7);
  CHECK(ints(slice(x, 0, 1, 6, 2)) == Ints{1, 3, 5});
  CHECK(ints(slice(x, 0, -3, 100)) == Ints{4, 5, 6});
  CHECK(ints(slice(x, 0, 5, 2)).empty());
  CHECK(ints(select(reshape(narrow(x, 0, 1, 6), {2, 3}), 1, -1)) == Ints{3, 6});
}

TEST_CASE("flip: reverses one dim") { CHECK(ints(flip(reshape(arange(0, 6), {2, 3}), 1)) == Ints{2, 1, 0, 5, 4, 3}); }

TEST_CASE("squeeze and unsqueeze: drop and insert sizes of 1 only") {
  CHECK(squeeze(zeros({1, 2, 1})).shape() == Shape{2});
  CHECK(squeeze(zeros({1, 2, 1}), 1).shape() == Shape{1, 2, 1});
  CHECK(unsqueeze(zeros({2}), -1).shape() == Shape{2, 1});
}

TEST_CASE("to: converts dtypes, gives the gradient back in the old one, and ends history at integers") {
  const Tensor x = from_data({1.5, -2.25}, {2});
  set_requires_grad(x);
  const Tensor y = to(x, DType::f64);
  CHECK(y.dtype() == DType::f64);
  backward(y, ones({2}, {.dtype = DType::f64}));
  CHECK(grad_of(x).dtype() == DType::f32);
  CHECK_FALSE(to(x, DType::i64).requires_grad());
  CHECK(ints(to(x, DType::i64)) == Ints{1, -2});
  CHECK(to(x, DType::f32).same(x));
}

TEST_CASE("view: what does not fit is a ShapeError that shows the tensor") {
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_WITH_AS(reshape(x, {4, -1}), "reshape: 6 elements do not fit shape [4, -1]\n  x  f32 [2, 3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(transpose(x, 0, 2), "transpose: dim 2 is out of range for 2 dimensions", ShapeError);
  CHECK_THROWS_WITH_AS(permute(x, {0, 0}), "permute: dim 0 appears twice in [0, 0]", ShapeError);
  CHECK_THROWS_WITH_AS(permute(x, {0}), "permute: 1 dims for 2 dimensions\n  x  f32 [2, 3]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(narrow(x, 1, 2, 2), "narrow: elements 2 to 4 of dim 1, which has 3\n  x  f32 [2, 3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(select(x, 0, 2), "select: index 2 is out of range for dim 0 of size 2", ShapeError);
  CHECK_THROWS_WITH_AS(expand(x, {4, 3}), "expand: cannot be expanded to [4, 3]\n  x  f32 [2, 3]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(slice(x, 0, 0, 1, 0), "slice: step 0 is not positive", ValueError);
  CHECK_THROWS_WITH_AS(flatten(x, 1, 0), "flatten: start 1 is after end 0", ShapeError);
}

}  // namespace gradus
