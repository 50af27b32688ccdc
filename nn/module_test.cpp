#include "nn/module.hpp"

#include <doctest/doctest.h>

#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "nn/init.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/squeeze_excite.hpp"
#include "nn/sequential.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"

namespace gradus {
namespace {

/// y = x * weight + bias, with a counter of calls as its buffer.
struct Scale : Module {
  explicit Scale(std::int64_t n = 3)
      : weight(ones({n}, {.device = construction_device()})),
        bias(zeros({n}, {.device = construction_device()})),
        calls(zeros({1}, {.device = construction_device()})) {}
  Tensor forward(const Tensor& x) override { return x * weight + bias; }
  std::string type_name() const override { return "Scale"; }
  std::string options() const override { return "3"; }
  std::int64_t multiply_adds(const Tensor&, const Tensor& y) const override { return y.numel(); }
  Parameter weight, bias;
  Buffer calls;
  GRADUS_MEMBERS(weight, bias, calls)
};

struct Pair2 : Module {
  Tensor forward(const Tensor& x) override { return second(first(x)); }
  std::string type_name() const override { return "Pair2"; }
  Scale first;
  Parameter gain{ones({1})};
  Sequential second{Scale(), Scale()};
  Sequential nothing;
  Parameter absent;
  GRADUS_MEMBERS(first, gain, second, nothing, absent)
};

std::vector<std::string> names(const std::vector<NamedState>& state) {
  std::vector<std::string> all;
  for (const NamedState& s : state) all.push_back(s.name);
  return all;
}

}  // namespace

TEST_CASE("Module: the state lists own parameters, own buffers, then children, as PyTorch does") {
  Pair2 m;
  CHECK(names(m.state()) == std::vector<std::string>{"gain", "first.weight", "first.bias", "first.calls",
                                                     "second.0.weight", "second.0.bias", "second.0.calls",
                                                     "second.1.weight", "second.1.bias", "second.1.calls"});
  CHECK(m.named_parameters().size() == 7);
  CHECK(m.parameter_count() == 19);
}

TEST_CASE("Excited: squeeze and excitation goes around any module, whose names it keeps") {
  manual_seed(5);
  Sequential row(Conv2d(3, 8, {.kernel = 3, .padding = 1, .bias = false}), Conv2d(8, 8, {.kernel = 1, .bias = false}));
  const Tensor x = gradus::rand({2, 3, 5, 5});
  const Tensor plain = row(x);
  Excited<Sequential> excited(std::move(row), 8, 4);
  CHECK(names(excited.state()) == std::vector<std::string>{"module.0.weight", "module.1.weight", "se_module.fc1.weight",
                                                           "se_module.fc1.bias", "se_module.fc2.weight",
                                                           "se_module.fc2.bias"});
  CHECK(excited(x).to_vector<float>() == excited.se_module(plain).to_vector<float>());
  backward(sum(excited(x)));
  for (const NamedParameter& p : excited.named_parameters()) CHECK(grad_of(*p.parameter).defined());
}

TEST_CASE("Sequential: in recomputed parts it gives the same value and gradients") {
  manual_seed(6);
  Sequential row;
  for (int i = 0; i < 6; ++i) row.add(Conv2d(4, 4, {.kernel = 3, .padding = 1}));
  const Tensor x = gradus::rand({2, 4, 6, 6});
  const auto gradients = [&] {
    row.zero_grad();
    const Tensor y = row(x);
    backward(sum(y * y));
    std::vector<float> all = y.to_vector<float>();
    for (const NamedParameter& p : row.named_parameters())
      for (const float g : grad_of(*p.parameter).to_vector<float>()) all.push_back(g);
    return all;
  };
  const std::vector<float> whole = gradients();
  for (const std::vector<std::size_t>& cuts : {std::vector<std::size_t>{1, 3}, {0}, {5}, {0, 1, 2, 3, 4, 5}}) {
    row.recompute_in_parts(cuts);
    CHECK(gradients() == whole);
    CHECK(std::string(row(x).node()->name()) == "recompute");
  }
  row.recompute_in_parts({});
  CHECK(std::string(row(x).node()->name()) != "recompute");
}

TEST_CASE("Module: train and eval reach every child and leave the tape alone") {
  Pair2 m;
  m.eval();
  CHECK_FALSE(m.is_training());
  CHECK_FALSE(m.second[1].is_training());
  CHECK(m(ones({2, 3})).requires_grad());
  m.train();
  CHECK(m.second[0].is_training());
}

TEST_CASE("Module: to(dtype) converts parameters and buffers and keeps them trainable") {
  Pair2 m;
  m.to(DType::f64);
  for (const NamedState& s : m.state()) {
    CHECK(s.tensor->dtype() == DType::f64);
    CHECK(s.tensor->requires_grad() == !s.is_buffer);
  }
  CHECK(m(ones({2, 3}, {.dtype = DType::f64})).dtype() == DType::f64);
  CHECK_THROWS_WITH_AS(m.to(DType::i64), "Module::to: parameters are floating, got i64", DTypeError);
}

TEST_CASE("Module: built on meta it has shapes, runs, and holds nothing") {
  const ConstructOn meta(kMeta);
  Scale m(5);
  CHECK(m.weight.is_meta());
  const Tensor y = m(empty({2, 5}, {.device = kMeta}));
  CHECK(y.shape() == Shape{2, 5});
  CHECK(y.is_meta());
}

TEST_CASE("Module: apply reaches this module and every one below") {
  Pair2 m;
  std::vector<std::string> seen;
  m.apply([&](Module& module) {
    seen.push_back(module.type_name());
    for (const NamedParameter& p : module.named_parameters()) init::constant(*p.parameter, 0.5);
  });
  CHECK(seen.size() == m.named_modules().size());
  for (const Tensor& p : m.parameters())
    for (const float v : p.to_vector<float>()) CHECK(v == 0.5f);
}

TEST_CASE("Module: name_paths gives nodes their module's path") {
  Pair2 m;
  m.name_paths();
  CHECK(m.second[1].path() == "second.1");
  CHECK(m(ones({2, 3})).node()->where == "second.1");
}

TEST_CASE("Module: zero_grad forgets gradients, requires_grad freezes") {
  Pair2 m;
  backward(sum(m(ones({2, 3}))));
  CHECK(grad_of(m.first.weight).defined());
  m.zero_grad();
  CHECK_FALSE(grad_of(m.first.weight).defined());
  m.requires_grad(false);
  CHECK_FALSE(m(ones({2, 3})).requires_grad());
}

TEST_CASE("ForwardObserver: sees every module before and after it runs, children inside parents") {
  struct Log final : ForwardObserver {
    std::vector<std::string> lines;
    void before(Module& m, const Tensor&) override { lines.push_back("> " + m.type_name()); }
    void after(Module& m, const Tensor& x, const Tensor& y) override {
      lines.push_back("< " + m.type_name() + " " + std::to_string(m.multiply_adds(x, y)));
    }
  };
  Pair2 m;
  Log log;
  m(ones({2, 3}));
  CHECK(log.lines == std::vector<std::string>{"> Pair2", "> Scale", "< Scale 6", "> Sequential", "> Scale", "< Scale 6",
                                              "> Scale", "< Scale 6", "< Sequential 0", "< Pair2 0"});
}

TEST_CASE("Module: prints its tree") {
  Pair2 m;
  CHECK(to_string(m) ==
        "Pair2\n  first: Scale(3)\n  second: Sequential\n    0: Scale(3)\n    1: Scale(3)\n  nothing: Sequential\n");
}

TEST_CASE("Sequential: an empty one is the identity") {
  Sequential s;
  const Tensor x = ones({2});
  CHECK(s(x).same(x));
}

TEST_CASE("Sequential: modules may be given names") {
  Sequential s;
  s.add("norm0", Scale());
  s.add("conv0", Scale());
  CHECK(names(s.state())[3] == "conv0.weight");
}

TEST_CASE("init: variances follow the fans") {
  manual_seed(3);
  const Tensor w = empty({64, 32, 3, 3});  // fan_in 288, fan_out 576
  const auto variance = [&] {
    double total = 0;
    for (double v : w.to_vector<double>()) total += v * v;
    return total / static_cast<double>(w.numel());
  };
  init::kaiming_normal(w);
  CHECK(variance() == doctest::Approx(2.0 / 288).epsilon(0.05));
  init::kaiming_normal(w, init::Fan::out);
  CHECK(variance() == doctest::Approx(2.0 / 576).epsilon(0.05));
  init::kaiming_uniform(w);
  CHECK(variance() == doctest::Approx(2.0 / 288).epsilon(0.05));
  init::xavier_normal(w);
  CHECK(variance() == doctest::Approx(2.0 / (288 + 576)).epsilon(0.05));
  init::xavier_uniform(w);
  CHECK(variance() == doctest::Approx(2.0 / (288 + 576)).epsilon(0.05));
  init::framework_default(w, Tensor());
  CHECK(variance() == doctest::Approx(1.0 / 3 / 288).epsilon(0.05));
  init::truncated_normal(w, 0, 1, -0.5, 0.5);
  for (double v : w.to_vector<double>()) CHECK(std::abs(v) <= 0.5);
  CHECK_THROWS_WITH_AS(init::kaiming_normal(zeros({3})), "init: fan needs at least 2 dimensions, got f32 [3]  cpu",
                       ShapeError);
}

TEST_CASE("Upsample: nearest repeats every pixel") {
  Upsample twice(2);
  const Tensor y = twice(from_data({1, 2}, {1, 1, 1, 2}));
  CHECK(y.shape() == Shape{1, 1, 2, 4});
  CHECK(y.to_vector<double>() == std::vector<double>{1, 1, 2, 2, 1, 1, 2, 2});
}

}  // namespace gradus
