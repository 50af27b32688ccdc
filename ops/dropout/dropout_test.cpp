#include "ops/dropout/dropout.hpp"

#include <doctest/doctest.h>

#include "autograd/recompute.hpp"
#include "core/parallel.hpp"
#include "ops/candidates.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/gradients.hpp"

namespace gradus {
namespace {

using Drop = Tensor (*)(const Tensor&, double, bool, Generator&);

Tensor drop_with(Drop drop, const Tensor& x, double p, std::uint64_t seed = 5) {
  Generator generator{seed, 3};
  return drop(x, p, true, generator);
}

}  // namespace

TEST_CASE("dropout: every candidate agrees with the reference, whatever the layout") {
  Generator generator{1, 0};
  for (const Shape& shape :
       {Shape{}, Shape{0}, Shape{1}, Shape{67}, Shape{3, 5}, Shape{2, 3, 7, 5}, Shape{4, 16, 33, 33}})
    for (DType dtype : {DType::f32, DType::f64})
      for (Drop drop : {dropout, drop_path}) {
        CAPTURE(to_string(shape));
        const Tensor x = randn(shape, {.dtype = dtype}, generator);
        const auto fast = drop_with(drop, x, 0.3).to_vector<double>();
        if (shape.size() == 4) CHECK(drop_with(drop, channels_last(x), 0.3).to_vector<double>() == fast);
        const ForceKernel force("dropout", "reference");
        const auto plain = drop_with(drop, x, 0.3).to_vector<double>();
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(fast[i] == doctest::Approx(plain[i]).epsilon(1e-6));
      }
}

TEST_CASE("dropout: element i falls where word i of the stream says so") {
  const Tensor y = drop_with(dropout, ones({1000}), 0.25);
  const Philox philox{5, 3};
  const auto values = y.to_vector<float>();
  for (std::uint64_t i = 0; i < 1000; ++i) CHECK((values[i] != 0) == (philox.word(i) >= 0x40000000u));
}

TEST_CASE("dropout: a share p falls and the mean stays") {
  for (double p : {0.1, 0.5, 0.9}) {
    const auto y = drop_with(dropout, ones({100000}), p).to_vector<double>();
    double fallen = 0, total = 0;
    for (double v : y) {
      fallen += v == 0;
      total += v;
    }
    CHECK(fallen / 1e5 == doctest::Approx(p).epsilon(0.02));
    CHECK(total / 1e5 == doctest::Approx(1).epsilon(0.02));
  }
}

TEST_CASE("drop_path: samples fall as a whole") {
  const auto y = drop_with(drop_path, ones({200, 6}), 0.5).to_vector<double>();
  int fallen = 0;
  for (std::size_t n = 0; n < 200; ++n) {
    for (std::size_t i = 0; i < 6; ++i) CHECK(y[6 * n + i] == y[6 * n]);
    fallen += y[6 * n] == 0;
  }
  CHECK(fallen > 70);
  CHECK(fallen < 130);
}

TEST_CASE("dropout: outside training and for p = 0, y is x and no stream is used") {
  Generator generator{1, 0};
  const Tensor x = ones({3});
  CHECK(dropout(x, 0.5, false, generator).same(x));
  CHECK(dropout(x, 0, true, generator).same(x));
  CHECK(generator.next_stream == 0);
}

TEST_CASE("dropout: two calls drop different elements, the same seed the same") {
  manual_seed(4);
  const auto a = dropout(ones({100}), 0.5, true).to_vector<float>(),
             b = dropout(ones({100}), 0.5, true).to_vector<float>();
  CHECK(a != b);
  manual_seed(4);
  CHECK(dropout(ones({100}), 0.5, true).to_vector<float>() == a);
}

TEST_CASE("dropout: a recomputed segment drops the same elements") {
  const Tensor x = ones({50});
  set_requires_grad(x);
  manual_seed(8);
  const Tensor y = recompute([](const Tensor& in) { return dropout(in, 0.5, true); }, x, {});
  backward(sum(y));
  CHECK(grad_of(x).to_vector<float>() == y.to_vector<float>());
}

TEST_CASE("dropout: gradients, and gradients of gradients, agree with differences") {
  Generator generator{1, 0};
  for (const Shape& shape : {Shape{2, 3, 2, 5}, Shape{7}, Shape{3, 1}, Shape{0, 2}})
    for (Drop drop : {dropout, drop_path}) {
      const auto fn = [&](const std::vector<Tensor>& in) { return drop_with(drop, in[0], 0.4); };
      check_gradients(fn, {randn(shape, {.dtype = DType::f64}, generator)});
    }
}

TEST_CASE("dropout: any number of threads gives the same bits") {
  const int before = num_threads();
  const Tensor x = ones({100001});
  set_num_threads(1);
  const auto one = drop_with(dropout, x, 0.5).to_vector<float>();
  set_num_threads(2);
  CHECK(drop_with(dropout, x, 0.5).to_vector<float>() == one);
  set_num_threads(before);
}

TEST_CASE("dropout: says what is out of range") {
  CHECK_THROWS_WITH_AS(dropout(ones({1}), 1, true), "dropout: probability 1 is not in [0, 1)", ValueError);
  CHECK_THROWS_WITH_AS(drop_path(ones({1}), -0.5, true), "drop_path: probability -0.5 is not in [0, 1)", ValueError);
  CHECK_THROWS_WITH_AS(dropout(arange(0, 3), 0.5, true), "dropout: takes f32 or f64, got i64 (convert with to())",
                       DTypeError);
}

}  // namespace gradus
