#include "ops/cross_entropy/cross_entropy.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/gradcheck.hpp"
#include "ops/candidates.hpp"
#include "ops/cross_entropy/mse_loss.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/softmax/softmax.hpp"
#include "tests/harness/gradients.hpp"
#include "tests/harness/layouts.hpp"

namespace gradus {
namespace {

Tensor labels(std::initializer_list<double> values, const Shape& shape) {
  return from_data(values, shape, {.dtype = DType::i64});
}

struct Case {
  const char* name;
  Shape x;
  Tensor labels;
};
std::vector<Case> cases() {
  return {{"[N,C]", {4, 3}, labels({0, 2, 1, 2}, {4})},
          {"[C]", {5}, labels({3}, {})},
          {"[N,C,H,W]", {2, 3, 2, 2}, labels({0, 1, 2, 1, 0, 0, 2, 1}, {2, 2, 2})},
          {"one class", {2, 1}, labels({0, 0}, {2})},
          {"ignored", {4, 3}, labels({0, -100, 1, -100}, {4})}};
}

/// The formula of the header, from operators.
Tensor by_definition(const Tensor& x, const Tensor& target, const CrossEntropyOptions& o) {
  const int dim = x.rank() == 1 ? 0 : 1;
  const std::int64_t classes = x.shape()[dim];
  const Tensor logs = neg(transpose(unsqueeze(log_softmax(x, dim), -1), dim, -1));  // classes last, one dim more
  const auto nll = reshape(logs, {-1, classes}).to_vector<double>();
  const auto t = target.to_vector<std::int64_t>();
  const auto w =
      o.weight.defined() ? o.weight.to_vector<double>() : std::vector<double>(static_cast<std::size_t>(classes), 1.0);
  double total = 0, divisor = 0;
  for (std::size_t i = 0; i < t.size(); ++i) {
    if (t[i] == o.ignore_index) continue;
    const auto label = static_cast<std::size_t>(t[i]);
    const double* row = nll.data() + i * static_cast<std::size_t>(classes);
    total += (1 - o.label_smoothing) * w[label] * row[label];
    for (std::size_t c = 0; c < w.size(); ++c)
      total += o.label_smoothing / static_cast<double>(classes) * w[c] * row[c];
    divisor += w[label];
  }
  return full({}, o.reduction == Reduction::mean ? total / divisor : total, {.dtype = DType::f64});
}

}  // namespace

TEST_CASE("cross_entropy: is the formula for labels of any shape, with smoothing, weights and ignored labels") {
  for (const Case& c : cases())
    for (DType dtype : {DType::f32, DType::f64})
      for (const Tensor& x : layouts(c.x, dtype))
        for (double smoothing : {0.0, 0.1, 1.0})
          for (bool weighted : {false, true})
            for (Reduction reduction : {Reduction::mean, Reduction::sum}) {
              CAPTURE(c.name);
              const std::int64_t classes = x.shape()[x.rank() == 1 ? 0 : 1];
              const CrossEntropyOptions options{.label_smoothing = smoothing,
                                                .reduction = reduction,
                                                .weight = weighted ? layouts({classes}, dtype, 0.5, 2)[0] : Tensor()};
              CHECK(cross_entropy(x, c.labels, options).item() ==
                    doctest::Approx(by_definition(x, c.labels, options).item())
                        .epsilon(dtype == DType::f32 ? 1e-5 : 1e-12));
            }
}

TEST_CASE("cross_entropy: rows in vector registers agree with the reference, loss and gradient") {
  for (std::int64_t classes : {2, 10, 33, 1000}) {
    const Tensor x = layouts({5, classes}, DType::f32, -20, 20)[0];
    set_requires_grad(x);
    const Tensor target = labels({0, 1, 0, 1, 1}, {5});
    for (double smoothing : {0.0, 0.1}) {
      const CrossEntropyOptions options{.label_smoothing = smoothing};
      const Tensor fast = cross_entropy(x, target, options);
      const auto fast_gradient = grad({fast}, {x})[0].to_vector<double>();
      const ForceKernel a("cross_entropy", "reference"), b("cross_entropy.backward", "reference");
      const Tensor slow = cross_entropy(x, target, options);
      const auto slow_gradient = grad({slow}, {x})[0].to_vector<double>();
      CHECK(fast.item() == doctest::Approx(slow.item()).epsilon(1e-6));
      for (std::size_t i = 0; i < slow_gradient.size(); ++i)
        CHECK(std::abs(fast_gradient[i] - slow_gradient[i]) < 1e-7);
    }
  }
}

TEST_CASE("cross_entropy: gradients and gradients of gradients agree with differences") {
  for (const Case& c : cases())
    for (const Tensor& x : layouts(c.x)) {
      CAPTURE(c.name);
      set_requires_grad(x);
      const std::int64_t classes = x.shape()[x.rank() == 1 ? 0 : 1];
      for (Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum})
        for (double smoothing : {0.0, 0.2}) {
          const CrossEntropyOptions options{.label_smoothing = smoothing,
                                            .reduction = reduction,
                                            .weight = layouts({classes}, DType::f64, 0.5, 2)[0]};
          const auto fn = [&](const auto& in) { return cross_entropy(in[0], c.labels, options); };
          CHECK_NOTHROW(gradcheck(fn, {x}));
          CHECK_NOTHROW(gradgradcheck(fn, {x}));
        }
    }
}

TEST_CASE("cross_entropy: an empty batch has the sum 0 and an empty gradient") {
  const Tensor none = labels({}, {0}), x = zeros({0, 3}, {.dtype = DType::f64});
  CHECK(cross_entropy(x, none, {.reduction = Reduction::sum}).item() == 0);
  CHECK(cross_entropy(x, none, {.reduction = Reduction::none}).shape() == Shape{0});
  CHECK(std::isnan(cross_entropy(x, none).item()));
  for (Reduction reduction : {Reduction::none, Reduction::sum})
    check_gradients([&](const auto& in) { return cross_entropy(in[0], none, {.reduction = reduction}); }, {x});
}

TEST_CASE("cross_entropy: takes probabilities, and differentiates in them too") {
  const Tensor x = layouts({3, 4})[0];
  const Tensor p = softmax(layouts({3, 4})[2], 1).detach();
  const Tensor expected = mean(neg(sum(p * log_softmax(x, 1), {1})));
  CHECK(cross_entropy(x, p).item() == doctest::Approx(expected.item()).epsilon(1e-12));
  set_requires_grad(x);
  for (Reduction reduction : {Reduction::none, Reduction::mean}) {
    const CrossEntropyOptions options{
        .label_smoothing = 0.1, .reduction = reduction, .weight = ones({4}, {.dtype = DType::f64})};
    CHECK_NOTHROW(gradcheck([&](const auto& in) { return cross_entropy(in[0], p, options); }, {x}));
    CHECK_NOTHROW(gradgradcheck([&](const auto& in) { return cross_entropy(in[0], p, options); }, {x}));
    const double fused = sum(cross_entropy(x, p, options)).item();
    const Tensor learned = p.clone();
    set_requires_grad(learned);
    CHECK(sum(cross_entropy(x, learned, options)).item() == doctest::Approx(fused).epsilon(1e-12));
    CHECK_NOTHROW(gradcheck([&](const auto& in) { return cross_entropy(in[0], in[1], options); }, {x, learned}));
  }
}

TEST_CASE("cross_entropy: a label as probabilities gives the label's loss") {
  const Tensor x = layouts({2, 3})[0];
  const Tensor p = from_data({0, 0, 1, 1, 0, 0}, {2, 3}, {.dtype = DType::f64});
  for (double smoothing : {0.0, 0.3})
    CHECK(cross_entropy(x, p, {.label_smoothing = smoothing}).item() ==
          doctest::Approx(cross_entropy(x, labels({2, 0}, {2}), {.label_smoothing = smoothing}).item()).epsilon(1e-12));
}

TEST_CASE("cross_entropy: logits of 1000 cost no accuracy in f32") {
  const Tensor x = from_data({1000, 1000.5, 999}, {1, 3});
  const double expected = std::log(1 + std::exp(-0.5) + std::exp(-1.5)) + 0.5;
  CHECK(cross_entropy(x, labels({0}, {1})).item() == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("cross_entropy: ignored labels alone give the mean NaN and the sum 0, with zero gradient") {
  const Tensor x = layouts({2, 3})[0];
  const Tensor none = labels({-100, -100}, {2});
  CHECK(std::isnan(cross_entropy(x, none).item()));
  CHECK(cross_entropy(x, none, {.reduction = Reduction::sum}).item() == 0);
  CHECK(
      cross_entropy(x, labels({7, 1}, {2}), {.ignore_index = 7, .reduction = Reduction::none}).to_vector<double>()[0] ==
      0);
}

TEST_CASE("cross_entropy: a label that is no class is a ValueError with the label, its place and the classes") {
  const Tensor x = zeros({2, 3, 2, 2});
  CHECK_THROWS_WITH_AS(cross_entropy(x, labels({0, 1, 2, 1, 0, 0, 3, 1}, {2, 2, 2})),
                       "cross_entropy: label 3 at [1, 1, 0] is no class: there are 3\n  x       f32 [2, 3, 2, 2]  cpu\n"
                       "  target  i64 [2, 2, 2]  cpu",
                       ValueError);
  CHECK_THROWS_WITH_AS(
      nll_loss(zeros({1, 3}), labels({-1}, {1})),
      "nll_loss: label -1 at [0] is no class: there are 3\n  x       f32 [1, 3]  cpu\n  target  i64 [1]  cpu",
      ValueError);
}

TEST_CASE("cross_entropy: operands that do not fit are refused") {
  CHECK_THROWS_WITH_AS(cross_entropy(zeros({2, 3}), labels({0, 1, 2}, {3})),
                       "cross_entropy: x needs labels of shape [2]\n  x       f32 [2, 3]  cpu\n  target  i64 [3]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(cross_entropy(zeros({2, 3}), labels({0, 1}, {2}), {.label_smoothing = 1.5}),
                       "cross_entropy: label_smoothing 1.5 is not within 0 and 1", ValueError);
  CHECK_THROWS_WITH_AS(cross_entropy(zeros({2, 3}), labels({0, 1}, {2}), {.weight = ones({2})}),
                       "cross_entropy: weight needs one number for each of 3 classes\n  x       f32 [2, 3]  cpu\n"
                       "  target  i64 [2]  cpu\n  weight  f32 [2]  cpu",
                       ShapeError);
  CHECK_THROWS_AS(cross_entropy(zeros({2, 3}), zeros({2, 2})), ShapeError);
  CHECK_THROWS_AS(cross_entropy(zeros({2, 3}), zeros({2, 3}, {.dtype = DType::f64})), DTypeError);
}

TEST_CASE("nll_loss: of log_softmax is cross_entropy, gradients included") {
  for (const Case& c : cases())
    for (const Tensor& x : layouts(c.x)) {
      CAPTURE(c.name);
      const std::int64_t classes = x.shape()[x.rank() == 1 ? 0 : 1];
      const Tensor weight = layouts({classes}, DType::f64, 0.5, 2)[0];
      CHECK(nll_loss(log_softmax(x, x.rank() == 1 ? 0 : 1), c.labels, {.weight = weight}).item() ==
            doctest::Approx(cross_entropy(x, c.labels, {.weight = weight}).item()).epsilon(1e-12));
      set_requires_grad(x);
      for (Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum})
        CHECK_NOTHROW(
            gradcheck([&](const auto& in) { return nll_loss(in[0], c.labels, {.reduction = reduction}); }, {x}));
    }
}

TEST_CASE("nll_loss: an impossible class costs nothing where it is not the label") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor x = from_data({-0.5, -infinity}, {1, 2});
  CHECK(nll_loss(x, labels({0}, {1})).item() == 0.5);
  CHECK(cross_entropy(x, labels({0}, {1})).item() == 0);
}

TEST_CASE("mse_loss: mean, sum or each square, differentiable in both operands; shapes must agree") {
  const Tensor x = from_data({1, 2, 3}, {3}, {.dtype = DType::f64}),
               t = from_data({0, 4, 3}, {3}, {.dtype = DType::f64});
  CHECK(mse_loss(x, t, Reduction::none).to_vector<double>() == std::vector<double>{1, 4, 0});
  CHECK(mse_loss(x, t, Reduction::sum).item() == 5);
  CHECK(mse_loss(x, t).item() == doctest::Approx(5.0 / 3));
  for (const Shape& shape : {Shape{3}, Shape{2, 1}, Shape{2, 3, 1, 2}, Shape{0, 2}})
    for (const Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
      if (numel(shape) == 0 && reduction == Reduction::mean) continue;  // a mean of nothing
      check_gradients([&](const auto& in) { return mse_loss(in[0], in[1], reduction); },
                      {layouts(shape)[0], layouts(shape)[0]});
    }
  CHECK_THROWS_WITH_AS(
      mse_loss(zeros({2}), zeros({2, 1})),
      "mse_loss: x and target have different shapes\n  x       f32 [2]  cpu\n  target  f32 [2, 1]  cpu", ShapeError);
}

}  // namespace gradus
