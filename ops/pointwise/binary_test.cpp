#include "ops/pointwise/binary.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

struct Case {
  const char* name;
  Tensor (*fn)(const Tensor&, const Tensor&);
  double (*expected)(double, double);
  bool differentiable;
};
const Case kCases[] = {
    {"add", add, [](double a, double b) { return a + b; }, true},
    {"sub", sub, [](double a, double b) { return a - b; }, true},
    {"mul", mul, [](double a, double b) { return a * b; }, true},
    {"div", div, [](double a, double b) { return a / b; }, true},
    {"maximum", maximum, [](double a, double b) { return std::max(a, b); }, true},
    {"minimum", minimum, [](double a, double b) { return std::min(a, b); }, true},
    {"greater", greater, [](double a, double b) { return a > b ? 1.0 : 0.0; }, false},
    {"equal", equal, [](double a, double b) { return a == b ? 1.0 : 0.0; }, false},
};

struct Pairing {
  Shape a, b, y;
};
const Pairing kPairings[] = {
    {{}, {}, {}},
    {{3}, {}, {3}},
    {{0}, {1}, {0}},
    {{3, 5}, {3, 5}, {3, 5}},
    {{3, 5}, {5}, {3, 5}},
    {{3, 5}, {3, 1}, {3, 5}},
    {{3, 1}, {1, 5}, {3, 5}},
    {{4, 1, 3}, {2, 1}, {4, 2, 3}},
    {{2, 3, 4, 5}, {2, 3, 4, 5}, {2, 3, 4, 5}},
    {{2, 3, 4, 5}, {2, 3, 1, 1}, {2, 3, 4, 5}},
    {{2, 3, 2, 4}, {3, 1, 1}, {2, 3, 2, 4}},
    {{2, 3, 2, 2}, {2, 1, 2, 2}, {2, 3, 2, 2}},
    {{3}, {2, 1, 3}, {2, 1, 3}},
    {{0, 3, 2, 2}, {3, 1, 1}, {0, 3, 2, 2}},
};

}  // namespace

TEST_CASE("binary: every function has its value on broadcast operands of every layout, in f32 and f64") {
  for (const Pairing& p : kPairings)
    for (DType dtype : {DType::f32, DType::f64})
      for (const Tensor& a : layouts(p.a, dtype))
        for (const Tensor& b : layouts(p.b, dtype, 0.1, 2))
          for (const Case& c : kCases) {
            CAPTURE(c.name);
            CAPTURE(describe({{"a", &a}, {"b", &b}}));
            const Tensor y = c.fn(a, b);
            REQUIRE(y.shape() == p.y);
            const auto u = expand(a, p.y).to_vector<double>(), v = expand(b, p.y).to_vector<double>(),
                       out = y.to_vector<double>();
            for (std::size_t i = 0; i < out.size(); ++i) {
              const double expected = c.expected(u[i], v[i]);
              CHECK(std::abs(out[i] - expected) <= (dtype == DType::f32 ? 1e-6 : 1e-15) * std::abs(expected));
            }
          }
}

TEST_CASE("binary: gradients and gradients of gradients agree with differences, broadcast or not") {
  for (const Pairing& p : kPairings) {
    if (numel(p.y) > 40) continue;
    for (const Tensor& a : layouts(p.a))
      for (const Tensor& b : layouts(p.b, DType::f64, 0.5, 2))
        for (const Case& c : kCases) {
          if (!c.differentiable) continue;
          CAPTURE(c.name);
          CAPTURE(describe({{"a", &a}, {"b", &b}}));
          set_requires_grad(a);
          set_requires_grad(b);
          const auto fn = [&](const auto& in) { return c.fn(in[0], in[1]); };
          CHECK_NOTHROW(gradcheck(fn, {a, b}));
          CHECK_NOTHROW(gradgradcheck(fn, {a, b}));
        }
  }
}

TEST_CASE("binary: the same tensor on both sides gets both gradients") {
  const Tensor x = layouts({3})[0];
  set_requires_grad(x);
  CHECK_NOTHROW(gradcheck([](const auto& in) { return in[0] * in[0] + in[0] / in[0]; }, {x}));
}

TEST_CASE("maximum: where both are equal each gets half; NaN in either is NaN") {
  const Tensor a = ones({1}), b = ones({1});
  set_requires_grad(a);
  set_requires_grad(b);
  backward(maximum(a, b));
  CHECK(grad_of(a).item() == 0.5);
  CHECK(grad_of(b).item() == 0.5);
  for (const auto fn : {maximum, minimum}) {
    CHECK(std::isnan(fn(full({1}, NAN), ones({1})).item()));
    CHECK(std::isnan(fn(ones({1}), full({1}, NAN)).item()));
  }
}

TEST_CASE("binary: the result takes the memory order of the operand that has its shape") {
  const Tensor x = rand({2, 3, 4, 5}, {.format = Format::channels_last});
  CHECK((x + ones({3, 1, 1})).is_contiguous(Format::channels_last));
  CHECK((ones({2, 3, 1, 1}) * x).is_contiguous(Format::channels_last));
  CHECK((contiguous(x) - x).is_contiguous());
}

TEST_CASE("binary: operators with numbers are scale and shift") {
  const Tensor x = from_data({1, 2}, {2}, {.dtype = DType::f64});
  CHECK((3 - x / 2).to_vector<double>() == std::vector<double>{2.5, 2});
  CHECK((-x + 1).to_vector<double>() == std::vector<double>{0, -1});
}

TEST_CASE("binary: shapes that do not broadcast, dtypes that differ and integers are refused") {
  CHECK_THROWS_WITH_AS(add(zeros({2, 3}), zeros({2})),
                       "add: shapes [2, 3] and [2] do not broadcast: sizes 3 and 2 at dim -1", ShapeError);
  CHECK_THROWS_WITH_AS(mul(zeros({2}), zeros({2}, {.dtype = DType::f64})),
                       "mul: operands have different dtypes (convert with to())\n  a  f32 [2]  cpu\n  b  f64 [2]  cpu",
                       DTypeError);
  CHECK_THROWS_WITH_AS(sub(arange(0, 2), arange(0, 2)), "sub: takes f32 or f64, got i64 (convert with to())",
                       DTypeError);
}

TEST_CASE("mul: refuses backward when a factor was changed in place") {
  const Tensor a = ones({2});
  Tensor b = ones({2});
  set_requires_grad(a);
  const Tensor y = a * b;
  b.fill_(3);
  CHECK_THROWS_WITH_AS(backward(y, ones({2})),
                       "mul: a tensor it saved for backward was written in place by fill_ (version 1, saved at 0)\n"
                       "  saved  f32 [2]  cpu",
                       GraphError);
}

}  // namespace gradus
