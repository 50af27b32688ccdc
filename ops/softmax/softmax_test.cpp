#include "ops/softmax/softmax.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "ops/candidates.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {

TEST_CASE("softmax: rows sum to one along any dim of any layout, and the logarithm is its logarithm") {
  for (DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{5}, Shape{4, 1}, Shape{3, 19}, Shape{2, 7, 3, 2}})
      for (const Tensor& x : layouts(shape, dtype, -5, 5))
        for (int dim = 0; dim < x.rank(); ++dim) {
          CAPTURE(describe(x));
          const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
          const Tensor y = softmax(x, dim);
          for (double total : sum(y, {dim}).to_vector<double>()) CHECK(total == doctest::Approx(1).epsilon(tolerance));
          const auto p = y.to_vector<double>(), logs = log_softmax(x, dim).to_vector<double>();
          for (std::size_t i = 0; i < p.size(); ++i) CHECK(std::abs(std::log(p[i]) - logs[i]) <= 10 * tolerance);
        }
}

TEST_CASE("softmax: rows in vector registers agree with the reference, whatever the length") {
  // Differences of logits up to 60 apart are rounded by 4e-6 at most in f32, and that is the exponential's relative
  // error.
  for (std::int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 1000}) {
    const Tensor x = layouts({3, n}, DType::f32, -30, 30)[0];
    const auto fast = softmax(x, 1).to_vector<double>(), fast_log = log_softmax(x, 1).to_vector<double>();
    const ForceKernel reference("softmax", "reference");
    const auto slow = softmax(x, 1).to_vector<double>(), slow_log = log_softmax(x, 1).to_vector<double>();
    for (std::size_t i = 0; i < slow.size(); ++i) {
      CHECK(std::abs(fast[i] - slow[i]) <= 4e-6 * slow[i] + 1e-37);
      CHECK(std::abs(fast_log[i] - slow_log[i]) <= 2e-7 * std::abs(slow_log[i]) + 2e-7);
    }
  }
}

TEST_CASE("softmax: large logits neither overflow nor lose their difference") {
  const Tensor x = from_data({1000, 1001, -1000}, {1, 3});
  const auto p = softmax(x, 1).to_vector<double>();
  CHECK(p[0] == doctest::Approx(1 / (1 + std::exp(1))).epsilon(1e-6));
  CHECK(p[2] == 0);
  CHECK(log_softmax(x, 1).to_vector<double>()[2] == doctest::Approx(-2001.3133).epsilon(1e-6));
}

TEST_CASE("softmax: minus infinity gets probability 0; NaN spoils its own row only") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (DType dtype : {DType::f32, DType::f64}) {
    const Tensor x = from_data({0, -infinity, 0, 1, NAN, 2}, {2, 3}, {.dtype = dtype});
    const auto p = softmax(x, 1).to_vector<double>();
    CHECK(p[0] == 0.5);
    CHECK(p[1] == 0);
    for (int i = 3; i < 6; ++i) CHECK(std::isnan(p[static_cast<std::size_t>(i)]));
  }
}

TEST_CASE("softmax: gradients and gradients of gradients agree with differences") {
  for (const Shape& shape : {Shape{3}, Shape{2, 1}, Shape{3, 4}, Shape{2, 3, 2, 2}, Shape{0, 3}})
    for (int dim = 0; dim < shape.size(); ++dim)
      for (const auto op : {softmax, log_softmax}) {
        CAPTURE(to_string(shape));
        check_gradients([&](const auto& in) { return op(in[0], dim); }, {layouts(shape)[0]});
      }
}

TEST_CASE("softmax: keeps the memory order, and takes empty tensors") {
  CHECK(softmax(rand({2, 3, 4, 5}, {.format = Format::channels_last}), 1).is_contiguous(Format::channels_last));
  CHECK(softmax(zeros({0, 3}), 1).shape() == Shape{0, 3});
  CHECK(softmax(zeros({3, 0}), 1).shape() == Shape{3, 0});
}

TEST_CASE("softmax: a dim out of range and integers are refused") {
  CHECK_THROWS_WITH_AS(softmax(zeros({2, 3}), 2), "softmax: dim 2 is out of range for 2 dimensions", ShapeError);
  CHECK_THROWS_WITH_AS(log_softmax(arange(0, 3), 0), "log_softmax: takes f32 or f64, got i64 (convert with to())",
                       DTypeError);
}

}  // namespace gradus
