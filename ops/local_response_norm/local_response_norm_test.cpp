#include "ops/local_response_norm/local_response_norm.hpp"

#include <doctest/doctest.h>

#include <cmath>

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
  LocalResponseNormOptions options;
};
const Case kCases[] = {
    {"AlexNet", {2, 96, 3, 5}, {.size = 5, .alpha = 5e-4, .beta = 0.75, .k = 2}},
    {"strong", {2, 7, 2, 3}, {.size = 5, .alpha = 1, .beta = 0.75, .k = 2}},
    {"beta one half", {2, 6, 2, 3}, {.size = 3, .alpha = 0.9, .beta = 0.5}},
    {"even window", {2, 6, 2, 3}, {.size = 4, .alpha = 0.8}},
    {"window wider than the channels", {2, 3, 2, 3}, {.size = 9, .alpha = 0.7}},
    {"window of one", {1, 4, 1, 1}, {.size = 1, .alpha = 0.5}},
    {"one channel", {2, 1, 3, 3}, {.size = 5, .alpha = 1, .beta = 1}},
    {"empty batch", {0, 4, 2, 2}, {}},
};

std::vector<std::vector<double>> run_all(const Tensor& values, const LocalResponseNormOptions& options) {
  const Tensor x = values.detach();
  set_requires_grad(x);
  const Tensor y = local_response_norm(x, options);
  Generator generator{4, 0};
  const Tensor seed = randn(y.shape(), {.dtype = y.dtype()}, generator);
  return {y.to_vector<double>(), grad({y}, {x}, {.seeds = {seed}})[0].to_vector<double>()};
}

}  // namespace

TEST_CASE("local_response_norm: every candidate agrees with the reference, on every layout") {
  Generator generator{3, 0};
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = randn(c.shape, {.dtype = dtype}, generator);
      for (const Tensor& in : {x, channels_last(x), transpose(transpose(x, 2, 3).clone(), 2, 3).detach()}) {
        CAPTURE(c.name);
        const auto fast = run_all(in, c.options);
        const ForceKernel forward("local_response_norm.forward", "reference"),
            backward("local_response_norm.backward", "reference");
        const auto plain = run_all(x, c.options);
        for (std::size_t k = 0; k < plain.size(); ++k)
          for (std::size_t i = 0; i < plain[k].size(); ++i)
            CHECK(std::abs(fast[k][i] - plain[k][i]) <= (dtype == DType::f32 ? 3e-6 : 1e-13));
      }
    }
}

TEST_CASE("local_response_norm: an even window of n reaches n/2 channels down and n/2 - 1 up") {
  const Tensor x = from_data({1, 1, 3, 1, 1}, {1, 5, 1, 1});
  const Tensor y = local_response_norm(x, {.size = 2, .alpha = 2, .beta = 1, .k = 1});
  // d = 1 + x_{c-1}^2 + x_c^2
  CHECK(y.to_vector<float>()[1] == doctest::Approx(1.0 / 3));
  CHECK(y.to_vector<float>()[2] == doctest::Approx(3.0 / 11));
  CHECK(y.to_vector<float>()[3] == doctest::Approx(1.0 / 11));
}

TEST_CASE("local_response_norm: gradients, and gradients of gradients, agree with differences") {
  Generator generator{3, 0};
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    if (numel(c.shape) > 200) continue;
    const auto fn = [&](const std::vector<Tensor>& in) { return local_response_norm(in[0], c.options); };
    check_gradients(fn, {randn(c.shape, {.dtype = DType::f64}, generator)});
  }
}

TEST_CASE("local_response_norm: any number of threads gives the same bits") {
  const int before = num_threads();
  Generator generator{9, 0};
  const Tensor x = randn({3, 96, 27, 27}, {}, generator);
  set_num_threads(1);
  const auto one = run_all(x, {});
  set_num_threads(2);
  CHECK(one == run_all(x, {}));
  set_num_threads(before);
}

TEST_CASE("local_response_norm: says what does not fit") {
  CHECK_THROWS_WITH_AS(local_response_norm(zeros({2, 3})), "local_response_norm: takes [N,C,H,W]\n  x  f32 [2, 3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(local_response_norm(zeros({1, 1, 1, 1}), {.size = 0, .k = 2}),
                       "local_response_norm: needs size >= 1, alpha >= 0 and k > 0, got size 0, alpha 0.0001, k 2",
                       ValueError);
}

}  // namespace gradus
