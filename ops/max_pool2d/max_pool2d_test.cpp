#include "ops/max_pool2d/max_pool2d.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "ops/candidates.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

struct Case {
  const char* name;
  Shape shape;
  Pool2dOptions options;
};
const Case kCases[] = {
    {"overlapping", {2, 3, 7, 9}, {.kernel = 3, .stride = 2}},
    {"side by side", {3, 16, 6, 4}, {.kernel = 2}},
    {"ResNet's stem", {2, 65, 9, 8}, {.kernel = 3, .stride = 2, .padding = 1}},
    {"ceil", {1, 130, 8, 6}, {.kernel = 3, .stride = 2, .ceil_mode = true}},
    {"ceil drops a window that starts in the padding", {1, 1, 6, 5}, {.kernel = 2, .padding = 1, .ceil_mode = true}},
    {"not square", {2, 1, 6, 7}, {.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 0}}},
    {"dilated", {1, 2, 10, 9}, {.kernel = 3, .stride = 2, .padding = 1, .dilation = 2, .ceil_mode = true}},
    {"gaps between windows", {1, 5, 8, 8}, {.kernel = 2, .stride = 3}},
    {"1-sized", {1, 1, 1, 1}, {.kernel = 1}},
    {"one row", {2, 4, 1, 9}, {.kernel = {1, 3}, .stride = 1, .padding = {0, 1}}},
    {"windows of more than 256 positions", {1, 3, 18, 18}, {.kernel = 17, .stride = 1}},
    {"empty batch", {0, 3, 4, 4}, {.kernel = 2}},
};

// Values are whole numbers and the operator is linear between its kinks: a large step is exact.
constexpr GradcheckOptions kStep{.step = 0.01};

/// All different values, far apart compared with a difference step.
Tensor distinct(const Shape& shape, DType dtype) {
  Generator generator{3, 0};
  const Tensor order = randperm(numel(shape), generator);
  return to(reshape(order, shape), dtype).clone();
}

std::vector<std::vector<double>> run_all(const Tensor& values, const Pool2dOptions& options) {
  const Tensor x = values.detach();
  set_requires_grad(x);
  const auto [y, indices] = max_pool2d_with_indices(x, options);
  Generator generator{4, 0};
  const Tensor seed = randn(y.shape(), {.dtype = y.dtype()}, generator);
  set_requires_grad(seed);
  const Tensor gx = grad({y}, {x}, {.seeds = {seed}, .create_graph = true})[0];
  const Tensor ggx = randn(x.shape(), {.dtype = y.dtype()}, generator);
  return {y.to_vector<double>(), indices.to_vector<double>(), gx.to_vector<double>(),
          grad({gx}, {seed}, {.seeds = {ggx}})[0].to_vector<double>()};
}

}  // namespace

TEST_CASE("max_pool2d: every candidate agrees with the reference, on every layout") {
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = distinct(c.shape, dtype);
      for (const Tensor& in : {x, channels_last(x), transpose(transpose(x, 2, 3).clone(), 2, 3).detach()}) {
        CAPTURE(c.name);
        CAPTURE(describe(in));
        const auto fast = run_all(in, c.options);
        const ForceKernel forward("max_pool2d.forward", "reference"), pick("max_pool2d.pick", "reference"),
            backward("max_pool2d.backward", "reference");
        const auto plain = run_all(x, c.options);
        for (std::size_t k = 0; k < plain.size(); ++k)
          for (std::size_t i = 0; i < plain[k].size(); ++i)
            CHECK(fast[k][i] == doctest::Approx(plain[k][i]).epsilon(dtype == DType::f32 ? 1e-6 : 1e-14));
      }
    }
}

TEST_CASE("max_pool2d: takes the largest and says where it lay") {
  const Tensor x = from_data({1, 2, 3, 4, 5, 9, 7, 8, 6, 0, 1, 2}, {1, 1, 3, 4});
  const auto [y, indices] = max_pool2d_with_indices(x, {.kernel = 2, .stride = 1});
  CHECK(y.to_vector<float>() == std::vector<float>{9, 9, 8, 9, 9, 8});
  CHECK(indices.to_vector<std::int64_t>() == std::vector<std::int64_t>{5, 5, 7, 5, 5, 7});
}

TEST_CASE("max_pool2d: of equal values the first counts, and it gets the gradient") {
  const Tensor x = zeros({1, 1, 2, 2});
  set_requires_grad(x);
  backward(max_pool2d(x, {.kernel = 2}));
  CHECK(grad_of(x).to_vector<float>() == std::vector<float>{1, 0, 0, 0});
}

TEST_CASE("max_pool2d: padding never wins, NaN always does") {
  CHECK(max_pool2d(full({1, 1, 2, 2}, -5), {.kernel = 3, .stride = 2, .padding = 1}).to_vector<float>() ==
        std::vector<float>{-5});
  CHECK(std::isnan(max_pool2d(from_data({NAN, 1, 2, 3}, {1, 1, 2, 2}), {.kernel = 2}).item()));
}

TEST_CASE("max_pool2d: a dilated window that meets no element is minus infinity and has no gradient") {
  const Tensor x = ones({1, 2, 1, 1});
  set_requires_grad(x);
  const auto [y, indices] = max_pool2d_with_indices(x, {.kernel = 2, .padding = 2, .dilation = 4});
  CHECK(y.to_vector<float>() == std::vector<float>(2, -INFINITY));
  CHECK(indices.to_vector<std::int64_t>() == std::vector<std::int64_t>{-1, -1});
  backward(y, ones({1, 2, 1, 1}));
  CHECK(grad_of(x).to_vector<float>() == std::vector<float>{0, 0});
}

TEST_CASE("max_pool2d: the result is channels-last") {
  CHECK(max_pool2d(zeros({2, 3, 4, 4}), {.kernel = 2}).is_contiguous(Format::channels_last));
}

TEST_CASE("max_pool2d: gradients, and gradients of gradients, agree with differences") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    if (numel(c.shape) > 200) continue;
    const auto fn = [&](const std::vector<Tensor>& in) { return max_pool2d(in[0], c.options); };
    check_gradients(fn, {distinct(c.shape, DType::f64)}, kStep, kStep);
  }
}

TEST_CASE("adaptive_max_pool2d: windows cover the plane, whatever the sizes") {
  for (const Shape& shape : {Shape{2, 2, 5, 4}, Shape{1, 3, 1, 1}, Shape{0, 2, 3, 3}}) {
    const Tensor x = distinct(shape, DType::f64);
    for (const Pair out : {Pair(1), Pair(2, 3), Pair(3), Pair(5, 4), Pair(6, 9)}) {
      const auto fn = [&](const std::vector<Tensor>& in) { return adaptive_max_pool2d(in[0], out); };
      CHECK(fn({x}).shape() == Shape{shape[0], shape[1], out.h, out.w});
      check_gradients(fn, {x}, kStep, kStep);
    }
  }
  const auto [y, indices] = adaptive_max_pool2d_with_indices(
      arange(0, 6, 1, {.dtype = DType::f32}).as_strided({1, 1, 2, 3}, {6, 6, 3, 1}, 0), 1);
  CHECK(y.item() == 5);
  CHECK(indices.item() == 5);
}

TEST_CASE("max_pool2d: any number of threads gives the same bits") {
  const int before = num_threads();
  Generator generator{9, 0};
  const Tensor x = randn({3, 20, 33, 31}, {}, generator);
  set_num_threads(1);
  const auto one = run_all(x, {.kernel = 3, .stride = 2, .padding = 1});
  set_num_threads(2);
  CHECK(one == run_all(x, {.kernel = 3, .stride = 2, .padding = 1}));
  set_num_threads(before);
}

TEST_CASE("max_pool2d: says what does not fit") {
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({3, 4, 4}), {.kernel = 2}),
                       "max_pool2d: takes [N,C,H,W]\n  x  f32 [3, 4, 4]  cpu", ShapeError);
  CHECK_THROWS_WITH_AS(
      max_pool2d(zeros({1, 1, 4, 2}), {.kernel = 3}),
      "max_pool2d: kernel 3 is larger than the padded input\n  x  f32 [1, 1, 4, 2]  cpu  padding 0, dilation 1",
      ShapeError);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({1, 1, 4, 4}), {.kernel = 2, .padding = {1, 2}}),
                       "max_pool2d: padding 1x2 is not between 0 and half of kernel 2 (dilation 1)", ValueError);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({1, 1, 4, 4}), {.kernel = 0}), "max_pool2d: kernel 0 is not positive",
                       ValueError);
  CHECK_THROWS_WITH_AS(max_pool2d(zeros({1, 1, 4, 4}, {.dtype = DType::i64}), {.kernel = 2}),
                       "max_pool2d: takes f32 or f64, got i64 (convert with to())", DTypeError);
  CHECK_THROWS_WITH_AS(adaptive_max_pool2d(zeros({1, 1, 4, 4}), 0),
                       "adaptive_max_pool2d: output size 0 is not positive", ValueError);
}

}  // namespace gradus
