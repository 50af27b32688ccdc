#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/engine.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "nn/optim/adagrad.hpp"
#include "nn/optim/adam.hpp"
#include "nn/optim/clip.hpp"
#include "nn/optim/rmsprop.hpp"
#include "nn/optim/sgd.hpp"

using namespace gradus;

namespace {

/// Parameters of sizes that do not divide a task: three large ones, many small ones.
struct Bag : Module {
  Bag() {
    for (const Shape& shape : {Shape{70'001}, Shape{64, 32, 3, 3}, Shape{1}, Shape{0}, Shape{5, 7}, Shape{16'384}})
      p.emplace_back(randn(shape));
    for (int i = 0; i < 40; ++i) p.emplace_back(randn({16 + i}));
  }
  Tensor forward(const Tensor& x) override { return x; }
  void members(MemberVisitor& visit) override {
    for (std::size_t i = 0; i < p.size(); ++i) visit("p" + std::to_string(i), p[i]);
  }
  std::vector<Parameter> p;
};

void random_gradients(Module& m) {
  for (const Tensor& p : m.parameters()) set_grad(p, randn(p.shape()));
}

std::string error_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("optimisers: every element of every parameter is updated once") {
  manual_seed(1);
  Bag bag;
  std::vector<std::vector<double>> before;
  for (const Tensor& p : bag.parameters()) before.push_back(p.to_vector<double>());
  random_gradients(bag);
  optim::Sgd sgd(bag, {.lr = 0.5});
  sgd.step();
  const std::vector<Tensor> after = bag.parameters();
  for (std::size_t i = 0; i < after.size(); ++i) {
    const std::vector<double> w = after[i].to_vector<double>(), g = grad_of(after[i]).to_vector<double>();
    double error = 0;
    for (std::size_t k = 0; k < w.size(); ++k) error = std::max(error, std::abs(w[k] - (before[i][k] - 0.5 * g[k])));
    CHECK(error < 1e-6);
  }
}

TEST_CASE("optimisers: the number of threads does not change a bit") {
  const auto run = [](int threads) {
    const int outside = num_threads();
    set_num_threads(threads);
    manual_seed(2);
    Bag bag;
    optim::Adam adam(bag, {.lr = 0.01, .weight_decay = 0.1});
    double norm = 0;
    for (int t = 0; t < 3; ++t) {
      random_gradients(bag);
      norm += optim::clip_grad_norm(bag.parameters(), 5);
      adam.step();
    }
    set_num_threads(outside);
    std::vector<double> all{norm};
    for (const Tensor& p : bag.parameters())
      for (const double v : p.to_vector<double>()) all.push_back(v);
    return all;
  };
  CHECK(run(1) == run(4));
}

TEST_CASE("optimisers: a gradient in another memory order is understood") {
  Parameter contiguous(randn({4, 3, 3, 3})), last(contiguous.clone(Format::channels_last));
  const Tensor g = randn({4, 3, 3, 3});
  set_grad(contiguous, g);
  set_grad(last, g);
  optim::Sgd sgd({{.parameters = {{"contiguous", &contiguous}, {"last", &last}}}}, {.lr = 0.1, .momentum = 0.9});
  sgd.step();
  CHECK(contiguous.to_vector<float>() == last.to_vector<float>());
}

TEST_CASE("optimisers: parameters without a gradient keep value and state") {
  Parameter used(ones({3})), unused(ones({3}));
  optim::Sgd sgd({{.parameters = {{"used", &used}, {"unused", &unused}}}}, {.lr = 0.1, .weight_decay = 0.5});
  set_grad(used, ones({3}));
  sgd.step();
  CHECK(used.to_vector<float>()[0] == doctest::Approx(1 - 0.1 * 1.5));
  CHECK(unused.to_vector<float>()[0] == 1);
  CHECK(sgd.state().back().tensor->to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0});
}

TEST_CASE("optimisers: groups scale the learning rate and the weight decay") {
  Parameter body(ones({2})), head(ones({2}));
  optim::Sgd sgd(
      {{.parameters = {{"body", &body}}}, {.parameters = {{"head", &head}}, .lr_scale = 10, .weight_decay_scale = 0}},
      {.lr = 0.01, .weight_decay = 1});
  set_grad(body, ones({2}));
  set_grad(head, ones({2}));
  sgd.step();
  CHECK(body.to_vector<float>()[0] == doctest::Approx(1 - 0.01 * 2));
  CHECK(head.to_vector<float>()[0] == doctest::Approx(1 - 0.1));
}

TEST_CASE("optimisers: decoupled weight decay shrinks weights beside the step") {
  Parameter w(ones({1}));
  optim::Sgd sgd({{.parameters = {{"w", &w}}}}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5, .decoupled = true});
  double expected = 1, v = 0;
  for (int t = 0; t < 4; ++t) {
    set_grad(w, ones({1}));
    sgd.step();
    v = 0.9 * v + 1;
    expected = expected * (1 - 0.1 * 0.5) - 0.1 * v;
  }
  CHECK(w.item() == doctest::Approx(expected));
}

TEST_CASE("optimisers: state written elsewhere continues the run to the bit") {
  const auto make = [](Module& m) { return optim::RmsProp(m, {.lr = 0.01, .momentum = 0.9, .centered = true}); };
  manual_seed(3);
  Bag a;
  optim::RmsProp first = make(a);
  random_gradients(a);
  first.step();

  Bag b;
  optim::RmsProp second = make(b);
  for (std::size_t i = 0; i < a.p.size(); ++i) b.p[i].copy_(a.p[i]);
  const std::vector<NamedState> from = first.state(), to = second.state();
  REQUIRE(from.size() == to.size());
  CHECK(from[0].name == "p0.square_avg");
  CHECK(from[1].name == "p0.momentum_buffer");
  CHECK(from[2].name == "p0.grad_avg");
  for (std::size_t i = 0; i < from.size(); ++i) to[i].tensor->copy_(*from[i].tensor);
  random_gradients(a);
  for (std::size_t i = 0; i < a.p.size(); ++i) set_grad(b.p[i], grad_of(a.p[i]));
  first.step();
  second.step();
  for (std::size_t i = 0; i < a.p.size(); ++i) CHECK(a.p[i].to_vector<float>() == b.p[i].to_vector<float>());
}

TEST_CASE("optimisers: mistakes are named") {
  Parameter w(ones({2})), half(ones({2}, {.dtype = DType::bf16}));
  const std::vector<optim::ParameterGroup> groups{{.parameters = {{"fc.weight", &w}}}};
  CHECK(error_of([&] { optim::Sgd({}, {}); }) == "optimizer: there are no parameters to train");
  CHECK(error_of([&] {
          optim::Sgd({{.parameters = {{"a", &w}, {"b", &w}}}}, {});
        }) == "optimizer: parameter b is given twice");
  CHECK(error_of([&] {
          optim::Sgd({{.parameters = {{"h", &half}}}}, {});
        }) == "optimizer: trains f32 and f64, h is bf16 [2]  cpu");
  CHECK(error_of([&] { optim::Sgd(groups, {.lr = -1}); }) ==
        "optimizer: the learning rate must not be negative, got -1");
  CHECK(error_of([&] { optim::Sgd(groups, {.nesterov = true}); }) ==
        "sgd: nesterov needs momentum and no dampening, got momentum 0 and dampening 0");
  CHECK(error_of([&] { optim::Adam(groups, {.beta2 = 1}); }) == "adam: beta2 must be in [0, 1), got 1");
  CHECK(error_of([&] { optim::RmsProp(groups, {.alpha = 2}); }) == "rmsprop: alpha must be in [0, 1], got 2");
  CHECK(error_of([&] { optim::Adagrad(groups, {.eps = -1}); }) == "adagrad: eps must not be negative, got -1");

  optim::Sgd sgd(groups, {.lr = 0.1, .momentum = 0.9});
  w = Parameter(ones({3}));
  set_grad(w, ones({3}));
  CHECK(error_of([&] { sgd.step(); }) ==
        "optimizer: fc.weight was replaced after the optimizer was made: it is f32 [3]  cpu now and was f32 [2]  cpu");
}

TEST_CASE("clipping: the common norm is the root of all squares, and is cut to the bound") {
  Parameter a(zeros({3})), b(zeros({2, 2}, {.dtype = DType::f64})), none(zeros({4}));
  set_grad(a, from_data({2, 0, 1}, {3}));
  set_grad(b, from_data({2, 0, 0, 4}, {2, 2}, {.dtype = DType::f64}));
  CHECK(optim::grad_norm({a, b, none}) == doctest::Approx(5));
  CHECK(optim::clip_grad_norm({a, b, none}, 10) == doctest::Approx(5));
  CHECK(grad_of(a).to_vector<float>()[0] == 2);
  CHECK(optim::clip_grad_norm({a, b, none}, 2.5) == doctest::Approx(5));
  CHECK(grad_of(a).to_vector<float>()[0] == 1);
  CHECK(optim::grad_norm({a, b}) == doctest::Approx(2.5));
  CHECK_FALSE(grad_of(none).defined());
}

TEST_CASE("clipping: values are cut one by one, NaN stays to be found") {
  Parameter a(zeros({4}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  set_grad(a, from_data({-3, 0.5, 7, nan}, {4}));
  optim::clip_grad_value({a}, 1);
  const std::vector<float> g = grad_of(a).to_vector<float>();
  CHECK(g[0] == -1);
  CHECK(g[1] == 0.5f);
  CHECK(g[2] == 1);
  CHECK(std::isnan(g[3]));
  CHECK(std::isnan(optim::clip_grad_norm({a}, 1)));
  CHECK(grad_of(a).to_vector<float>()[0] == -1);
}

TEST_CASE("clipping: filters beyond the radius are scaled back to it, others keep their bits") {
  // Filters of the root mean squares 5/sqrt(2) and 0.1/sqrt(2).
  Parameter w(from_data({3, 4, 0.1, 0}, {2, 1, 1, 2})), bias(full({2}, 9)), linear(full({2, 2}, 9));
  optim::clip_filter_rms({w, bias, linear}, 0.5);
  const std::vector<float> v = w.to_vector<float>();
  CHECK(std::sqrt((v[0] * v[0] + v[1] * v[1]) / 2) == doctest::Approx(0.5));
  CHECK(v[0] / v[1] == doctest::Approx(0.75));
  CHECK(v[2] == 0.1f);
  CHECK(v[3] == 0.0f);
  CHECK(bias.to_vector<float>()[0] == 9);
  CHECK(linear.to_vector<float>()[0] == 9);
  CHECK_THROWS_WITH_AS(optim::clip_filter_rms({w}, 0), "clip_filter_rms: radius must be positive, got 0", ValueError);
}
