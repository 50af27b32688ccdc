#include "ops/pointwise/unary.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/gradcheck.hpp"
#include "core/random.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

struct Case {
  const char* name;
  Tensor (*fn)(const Tensor&);
  double (*expected)(double);
  double low, high;  // inputs are drawn from here: inside the domain, off the kinks
};

const Case kCases[] = {
    {"affine", [](const Tensor& x) { return 2 * x - 3; }, [](double x) { return 2 * x - 3; }, -2, 2},
    {"neg", neg, [](double x) { return -x; }, -2, 2},
    {"exp", exp, [](double x) { return std::exp(x); }, -2, 2},
    {"log", log, [](double x) { return std::log(x); }, 0.1, 3},
    {"sqrt", sqrt, [](double x) { return std::sqrt(x); }, 0.1, 3},
    {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.1, 3},
    {"square", square, [](double x) { return x * x; }, -2, 2},
    {"pow", [](const Tensor& x) { return pow(x, 1.7); }, [](double x) { return std::pow(x, 1.7); }, 0.1, 3},
    {"abs below 0", abs, [](double x) { return std::abs(x); }, -2, -0.1},
    {"clamp inside", [](const Tensor& x) { return clamp(x, -1, 1); }, [](double x) { return x; }, -0.9, 0.9},
    {"clamp above", [](const Tensor& x) { return clamp(x, -1, 1); }, [](double) { return 1.0; }, 1.1, 3},
    {"relu above 0", relu, [](double x) { return x; }, 0.1, 2},
    {"relu below 0", relu, [](double) { return 0.0; }, -2, -0.1},
    {"leaky_relu below 0", [](const Tensor& x) { return leaky_relu(x, 0.2); }, [](double x) { return 0.2 * x; }, -2,
     -0.1},
    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -4, 4},
    {"tanh", tanh, [](double x) { return std::tanh(x); }, -2, 2},
};

// Odd sizes, a view, channels-last, empty, scalar.
std::vector<Tensor> inputs(double low, double high, DType dtype) {
  Generator generator{7, 0};
  std::vector<Tensor> all;
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{3, 5}, Shape{2, 3, 4, 5}}) {
    all.push_back(empty(shape, {.dtype = dtype}));
    uniform_(all.back(), low, high, generator);
  }
  all.push_back(channels_last(all.back()));
  all.push_back(narrow(transpose(all[4], 1, 3), 1, 1, 3).detach());
  return all;
}

}  // namespace

TEST_CASE("unary: every function has its value, on every layout, in f32 and f64") {
  for (const Case& c : kCases)
    for (DType dtype : {DType::f32, DType::f64})
      for (const Tensor& x : inputs(c.low, c.high, dtype)) {
        CAPTURE(c.name);
        CAPTURE(describe(x));
        const auto in = x.to_vector<double>(), out = c.fn(x).to_vector<double>();
        const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
        for (std::size_t i = 0; i < in.size(); ++i)
          CHECK(out[i] == doctest::Approx(c.expected(in[i])).epsilon(tolerance));
      }
}

TEST_CASE("unary: gradients and gradients of gradients agree with differences") {
  for (const Case& c : kCases)
    for (const Tensor& x : inputs(c.low, c.high, DType::f64)) {
      CAPTURE(c.name);
      CAPTURE(describe(x));
      set_requires_grad(x);
      const auto fn = [&](const std::vector<Tensor>& in) { return c.fn(in[0]); };
      CHECK_NOTHROW(gradcheck(fn, {x}));
      CHECK_NOTHROW(gradgradcheck(fn, {x}));
    }
}

TEST_CASE("unary: the result keeps the memory order") {
  const Tensor x = rand({2, 3, 4, 5}, {.format = Format::channels_last});
  CHECK(relu(x).is_contiguous(Format::channels_last));
}

TEST_CASE("sigmoid: saturates without NaN at plus and minus 200") {
  const auto y = sigmoid(from_data({-200, 200}, {2})).to_vector<double>();
  CHECK(y[0] == doctest::Approx(0));
  CHECK(y[1] == 1);
}

TEST_CASE("relu: has gradient 0 at 0 and passes NaN on") {
  const Tensor x = zeros({1}, {.dtype = DType::f64});
  set_requires_grad(x);
  backward(relu(x));
  CHECK(grad_of(x).item() == 0);
  CHECK(std::isnan(relu(from_data({NAN}, {1})).item()));
}

TEST_CASE("sigmoid: refuses backward when its output was changed in place") {
  const Tensor x = zeros({2});
  set_requires_grad(x);
  Tensor y = sigmoid(x);
  y.detach().fill_(1);
  CHECK_THROWS_WITH_AS(backward(y, ones({2})),
                       "sigmoid: a tensor it saved for backward was written in place by fill_ (version 1, saved at 0)\n"
                       "  saved  f32 [2]  cpu",
                       GraphError);
}

TEST_CASE("unary: an integer tensor is a DTypeError that says what to do") {
  CHECK_THROWS_WITH_AS(exp(arange(0, 3)), "exp: takes f32 or f64, got i64 (convert with to())", DTypeError);
}

TEST_CASE("clamp: refuses bounds in the wrong order") {
  CHECK_THROWS_WITH_AS(clamp(zeros({1}), 2, 1), "clamp: low 2 is above high 1", ValueError);
}

}  // namespace gradus
