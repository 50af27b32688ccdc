#include "ops/reduce/reduce.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/gradcheck.hpp"
#include "core/parallel.hpp"
#include "ops/candidates.hpp"
#include "ops/pointwise/binary.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

/// Every set of dims of a rank.
std::vector<Dims> subsets(int rank) {
  std::vector<Dims> all;
  for (int bits = 1; bits < 1 << rank; ++bits) {
    Dims dims;
    for (int d = 0; d < rank; ++d)
      if (bits >> d & 1) dims.push_back(d);
    all.push_back(dims);
  }
  return all;
}

/// The definition: f over the values of each output, in logical order.
template <class Fn>
std::vector<double> by_definition(const Tensor& x, const Dims& dims, Fn f) {
  Dims order;
  std::vector<bool> reduced(static_cast<std::size_t>(x.rank()), false);
  for (std::int64_t d : dims) reduced[static_cast<std::size_t>(d)] = true;
  std::int64_t outputs = 1;
  for (int d = 0; d < x.rank(); ++d)
    if (!reduced[static_cast<std::size_t>(d)]) order.push_back(d), outputs *= x.shape()[d];
  for (std::int64_t d : dims) order.push_back(d);
  const auto values = permute(x, order).to_vector<double>();
  const auto count = static_cast<std::int64_t>(values.size()) / outputs;
  std::vector<double> out;
  for (std::int64_t o = 0; o < outputs; ++o)
    out.push_back(f(std::vector<double>(values.begin() + o * count, values.begin() + (o + 1) * count)));
  return out;
}
double add_up(const std::vector<double>& v) {
  double total = 0;
  for (double x : v) total += x;
  return total;
}

void check_close(const Tensor& y, const std::vector<double>& expected, double tolerance) {
  const auto values = y.to_vector<double>();
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(std::abs(values[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i])));
}

}  // namespace

TEST_CASE("reduce: sum, mean, max, min and var are the definition over any dims of any layout") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{7}, Shape{3, 5}, Shape{2, 3, 5, 4}, Shape{2, 70, 3, 3}, Shape{1, 5, 1, 3}})
      for (const Tensor& x : layouts(shape, dtype))
        for (const Dims& dims : subsets(x.rank())) {
          CAPTURE(describe(x));
          CAPTURE(to_string(dims));
          const double tolerance = dtype == DType::f32 ? 1e-5 : 1e-13;
          check_close(sum(x, dims), by_definition(x, dims, add_up), tolerance);
          check_close(mean(x, dims, true),
                      by_definition(x, dims, [](const auto& v) { return add_up(v) / static_cast<double>(v.size()); }),
                      tolerance);
          check_close(max(x, dims),
                      by_definition(x, dims, [](const auto& v) { return *std::max_element(v.begin(), v.end()); }), 0);
          check_close(min(x, dims),
                      by_definition(x, dims, [](const auto& v) { return *std::min_element(v.begin(), v.end()); }), 0);
          check_close(var(x, dims, {.unbiased = false}),
                      by_definition(x, dims,
                                    [](const auto& v) {
                                      const double m = add_up(v) / static_cast<double>(v.size());
                                      double squares = 0;
                                      for (double e : v) squares += (e - m) * (e - m);
                                      return squares / static_cast<double>(v.size());
                                    }),
                      tolerance);
        }
}

TEST_CASE("sum: the blocked kernel agrees with the reference on sizes that fill no block") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{3, 16, 67, 33}, Shape{65, 3, 7, 9}, Shape{2, 63, 40, 41}, Shape{2, 4099, 9, 5},
                               Shape{1, 1, 1, 100001}, Shape{300, 7, 11, 5}})
      for (const Tensor& x : layouts(shape, dtype))
        for (const Dims& dims : {Dims{0, 2, 3}, Dims{2, 3}, Dims{1}, Dims{0}, Dims{3}, Dims{0, 1, 2, 3}}) {
          CAPTURE(describe(x));
          CAPTURE(to_string(dims));
          const auto fast = sum(x, dims).to_vector<double>();
          const ForceKernel reference("sum", "reference");
          const auto slow = sum(x, dims).to_vector<double>();
          const double count = static_cast<double>(x.numel()) / static_cast<double>(slow.size());
          double worst = 0;
          for (std::size_t i = 0; i < slow.size(); ++i) worst = std::max(worst, std::abs(fast[i] - slow[i]));
          CHECK(worst <= (dtype == DType::f32 ? 1e-6 : 1e-14) * std::sqrt(count) * 2);
        }
}

TEST_CASE("sum: gives the same bits on any number of threads") {
  const int before = num_threads();
  const Tensor x = randn({4, 24, 61, 53}, {.format = Format::channels_last});
  for (const Dims& dims : {Dims{0, 2, 3}, Dims{2, 3}, Dims{0, 1, 2, 3}}) {
    set_num_threads(1);
    const auto one = sum(x, dims).to_vector<float>();
    set_num_threads(3);
    CHECK(sum(x, dims).to_vector<float>() == one);
  }
  set_num_threads(before);
}

TEST_CASE("sum: of ten million f32 ones and of small terms on a large one loses nothing visible") {
  CHECK(sum(ones({10'000'000})).item() == 10'000'000);
  const Tensor x = full({1'000'000}, 0.1);
  CHECK(sum(x).item() == doctest::Approx(1e5).epsilon(1e-6));
}

TEST_CASE("reduce: keepdim keeps a 1; channels-last stays the memory order") {
  const Tensor x = rand({2, 3, 4, 5}, {.format = Format::channels_last});
  CHECK(sum(x, {2, 3}, true).shape() == Shape{2, 3, 1, 1});
  CHECK(sum(x, {0}, true).is_contiguous(Format::channels_last));
  CHECK(mean(x).shape() == Shape{});
  CHECK(max(x, {-1}).shape() == Shape{2, 3, 4});
}

TEST_CASE("reduce: gradients and gradients of gradients agree with differences") {
  for (const Shape& shape : {Shape{3}, Shape{2, 3}, Shape{2, 3, 2, 2}, Shape{1, 3, 1, 2}})
    for (const Tensor& x : layouts(shape)) {
      CAPTURE(describe(x));
      set_requires_grad(x);
      for (const Dims& dims : {Dims{0}, Dims{-1}, Dims{}}) {
        for (bool keepdim : {false, true}) {
          const auto check_both = [&](const TensorFn& fn) {
            CHECK_NOTHROW(gradcheck(fn, {x}));
            CHECK_NOTHROW(gradgradcheck(fn, {x}));
          };
          check_both([&](const auto& in) { return sum(square(in[0]), dims, keepdim); });
          check_both([&](const auto& in) { return mean(square(in[0]), dims, keepdim); });
          check_both([&](const auto& in) { return square(max(in[0], dims, keepdim)); });
          check_both([&](const auto& in) { return square(min(in[0], dims, keepdim)); });
          check_both([&](const auto& in) { return var(in[0], dims, {.unbiased = false, .keepdim = keepdim}); });
        }
      }
      const auto with_indices = [](const auto& in) { return square(max_with_indices(in[0], 0).values); };
      CHECK_NOTHROW(gradcheck(with_indices, {x}));
      CHECK_NOTHROW(gradgradcheck(with_indices, {x}));
    }
  for (const Dims& dims : {Dims{0}, Dims{1}, Dims{}})
    check_gradients([&](const auto& in) { return sum(square(in[0]), dims); }, {layouts({0, 3})[0]});
  const auto check_rows = [](const TensorFn& fn) { check_gradients(fn, {layouts({0, 3})[0]}); };
  check_rows([](const auto& in) { return mean(in[0], {1}); });
  check_rows([](const auto& in) { return max(in[0], {1}); });
  check_rows([](const auto& in) { return min(in[0], {1}); });
  check_rows([](const auto& in) { return var(in[0], {1}); });
}

TEST_CASE("max: elements that tie share the gradient; with indices the first takes it") {
  const Tensor x = from_data({1, 4, 4, 2}, {4}, {.dtype = DType::f64});
  set_requires_grad(x);
  backward(max(x));
  CHECK(grad_of(x).to_vector<double>() == std::vector<double>{0, 0.5, 0.5, 0});
  set_grad(x, {});
  const Extremes first = max_with_indices(x, 0);
  CHECK(first.indices.item() == 1);
  backward(first.values);
  CHECK(grad_of(x).to_vector<double>() == std::vector<double>{0, 1, 0, 0});
}

TEST_CASE("argmax: the first of several, along a dim or flat; NaN wins") {
  const Tensor x = from_data({1, 5, 5, 7, 0, 7}, {2, 3});
  CHECK(argmax(x, 1).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0});
  CHECK(argmax(x, 0, true).shape() == Shape{1, 3});
  CHECK(argmax(x).item() == 3);
  CHECK(argmin(x).item() == 4);
  const Tensor y = from_data({1, NAN, 9}, {3});
  CHECK(argmax(y).item() == 1);
  CHECK(argmin(y).item() == 1);
  CHECK(std::isnan(max(y).item()));
  CHECK(argmax(transpose(x, 0, 1)).item() == 1);
}

TEST_CASE("var: a large mean costs no accuracy in f32; one element has none unbiased") {
  const Tensor x = from_data({10000, 10001, 10002, 10003}, {4});
  CHECK(var(x).item() == doctest::Approx(5.0 / 3).epsilon(1e-6));
  CHECK(var(x, {}, {.unbiased = false}).item() == doctest::Approx(1.25).epsilon(1e-6));
  CHECK(std::isnan(var(ones({1})).item()));
  CHECK(var(ones({1}), {}, {.unbiased = false}).item() == 0);
}

TEST_CASE("reduce: over no elements a sum is 0, the others are ShapeErrors") {
  CHECK(sum(zeros({0, 3}), {0}).to_vector<double>() == std::vector<double>{0, 0, 0});
  CHECK(sum(zeros({0, 3}), {1}).shape() == Shape{0});
  CHECK(max(zeros({0, 3}), {1}).shape() == Shape{0});
  CHECK_THROWS_WITH_AS(mean(zeros({0, 3}), {0}), "mean: of no elements\n  x  f32 [0, 3]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(max(zeros({2, 0})), "max: of no elements\n  x  f32 [2, 0]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(var(zeros({0})), "var: of no elements\n  x  f32 [0]  cpu", ShapeError);
}

TEST_CASE("reduce: a scalar reduces to itself") {
  const Tensor x = full({}, 3);
  CHECK(sum(x).item() == 3);
  CHECK(max(x).item() == 3);
  CHECK(argmax(x).item() == 0);
}

TEST_CASE("sum_to: sums what was broadcast, and refuses what could not have been") {
  const Tensor x = ones({2, 3, 4});
  CHECK(sum_to(x, {3, 1}).to_vector<double>() == std::vector<double>{8, 8, 8});
  CHECK(sum_to(x, {}).item() == 24);
  CHECK(sum_to(x, {2, 3, 4}).same(x));
  CHECK_THROWS_WITH_AS(sum_to(x, {2}), "sum_to: [2] does not broadcast to x's shape\n  x  f32 [2, 3, 4]  cpu",
                       ShapeError);
}

TEST_CASE("reduce: dims that are out of range or named twice, and integers, are refused") {
  CHECK_THROWS_WITH_AS(sum(zeros({2, 3}), {2}), "sum: dim 2 is out of range for 2 dimensions", ShapeError);
  CHECK_THROWS_WITH_AS(mean(zeros({2, 3}), {1, -1}), "mean: dim 1 appears twice in [1, -1]\n  x  f32 [2, 3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(sum(arange(0, 3)), "sum: takes f32 or f64, got i64 (convert with to())", DTypeError);
  CHECK_THROWS_WITH_AS(argmax(arange(0, 3)), "argmax: takes f32 or f64, got i64 (convert with to())", DTypeError);
}

}  // namespace gradus
