#include "ops/avg_pool2d/avg_pool2d.hpp"

#include <doctest/doctest.h>

#include "core/parallel.hpp"
#include "core/random.hpp"
#include "ops/candidates.hpp"
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
    {"side by side", {3, 16, 6, 4}, {.kernel = 2}},
    {"odd", {1, 65, 7, 5}, {.kernel = 2, .stride = 2}},
    {"padded", {2, 3, 5, 6}, {.kernel = 3, .stride = 1, .padding = 1}},
    {"padded, not counted", {2, 3, 5, 6}, {.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false}},
    {"ceil", {1, 2, 8, 7}, {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}},
    {"ceil, not counted",
     {1, 2, 8, 7},
     {.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}},
    {"not square", {2, 1, 6, 5}, {.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}}},
    {"whole plane", {2, 130, 4, 5}, {.kernel = {4, 5}}},
    {"1-sized", {1, 1, 1, 1}, {.kernel = 1}},
    {"empty batch", {0, 3, 4, 4}, {.kernel = 2}},
};

std::vector<std::vector<double>> run_all(const Tensor& values, const std::function<Tensor(const Tensor&)>& fn) {
  const Tensor x = values.detach();
  set_requires_grad(x);
  const Tensor y = fn(x);
  Generator generator{4, 0};
  const Tensor seed = randn(y.shape(), {.dtype = y.dtype()}, generator);
  return {y.to_vector<double>(), grad({y}, {x}, {.seeds = {seed}})[0].to_vector<double>()};
}

void check_close(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b,
                 double tolerance) {
  for (std::size_t k = 0; k < a.size(); ++k)
    for (std::size_t i = 0; i < a[k].size(); ++i) CHECK(std::abs(a[k][i] - b[k][i]) <= tolerance);
}

}  // namespace

TEST_CASE("avg_pool2d: every candidate agrees with the reference, on every layout") {
  Generator generator{3, 0};
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = randn(c.shape, {.dtype = dtype}, generator);
      const auto fn = [&](const Tensor& in) { return avg_pool2d(in, c.options); };
      for (const Tensor& in : {x, channels_last(x), transpose(transpose(x, 2, 3).clone(), 2, 3).detach()}) {
        CAPTURE(c.name);
        const auto fast = run_all(in, fn);
        const ForceKernel forward("avg_pool2d.forward", "reference"), backward("avg_pool2d.backward", "reference");
        check_close(fast, run_all(x, fn), dtype == DType::f32 ? 2e-6 : 1e-14);
      }
    }
}

TEST_CASE("avg_pool2d: padding counts as zeros, or not at all") {
  const Tensor x = full({1, 1, 2, 2}, 6);
  CHECK(avg_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}).item() == doctest::Approx(6.0 * 4 / 9));
  CHECK(avg_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}).item() ==
        doctest::Approx(6));
}

TEST_CASE("avg_pool2d: gradients, and gradients of gradients, agree with differences") {
  Generator generator{3, 0};
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    if (numel(c.shape) > 300) continue;
    const auto fn = [&](const std::vector<Tensor>& in) { return avg_pool2d(in[0], c.options); };
    check_gradients(fn, {randn(c.shape, {.dtype = DType::f64}, generator)});
  }
}

TEST_CASE("adaptive_avg_pool2d: windows cover the plane, whatever the sizes") {
  Generator generator{3, 0};
  for (const Shape& shape : {Shape{2, 2, 5, 4}, Shape{1, 3, 1, 1}, Shape{0, 2, 3, 3}}) {
    const Tensor x = randn(shape, {.dtype = DType::f64}, generator);
    for (const Pair out : {Pair(1), Pair(2, 3), Pair(3), Pair(5, 4), Pair(6, 9)}) {
      const auto fn = [&](const std::vector<Tensor>& in) { return adaptive_avg_pool2d(in[0], out); };
      CHECK(fn({x}).shape() == Shape{shape[0], shape[1], out.h, out.w});
      check_gradients(fn, {x});
    }
  }
}

TEST_CASE("global_avg_pool2d: is the mean of each plane") {
  const Tensor x = from_data({1, 2, 3, 4, 5, 6, 7, 9}, {1, 2, 2, 2});
  CHECK(global_avg_pool2d(x).shape() == Shape{1, 2, 1, 1});
  CHECK(global_avg_pool2d(x).to_vector<float>() == std::vector<float>{2.5f, 6.75f});
  for (const Shape& shape : {Shape{2, 3, 3, 5}, Shape{1, 1, 1, 1}, Shape{0, 2, 3, 3}})
    check_gradients([](const auto& in) { return global_avg_pool2d(in[0]); }, {randn(shape, {.dtype = DType::f64})});
}

TEST_CASE("avg_pool2d: any number of threads gives the same bits") {
  const int before = num_threads();
  Generator generator{9, 0};
  const Tensor x = randn({3, 20, 33, 31}, {}, generator);
  const auto fn = [&](const Tensor& in) { return avg_pool2d(in, {.kernel = 3, .stride = 1, .padding = 1}); };
  set_num_threads(1);
  const auto one = run_all(x, fn);
  set_num_threads(2);
  CHECK(one == run_all(x, fn));
  set_num_threads(before);
}

TEST_CASE("avg_pool2d: says what does not fit") {
  CHECK_THROWS_WITH_AS(avg_pool2d(zeros({1, 1, 4, 4}), {.kernel = 2, .dilation = 2}),
                       "avg_pool2d: has no dilation, got 2", ValueError);
  CHECK_THROWS_WITH_AS(
      avg_pool2d(zeros({1, 1, 4, 2}), {.kernel = 3}),
      "avg_pool2d: kernel 3 is larger than the padded input\n  x  f32 [1, 1, 4, 2]  cpu  padding 0, dilation 1",
      ShapeError);
  CHECK_THROWS_WITH_AS(global_avg_pool2d(zeros({1, 1, 0, 2})),
                       "global_avg_pool2d: planes without elements\n  x  f32 [1, 1, 0, 2]  cpu", ShapeError);
}

}  // namespace gradus
