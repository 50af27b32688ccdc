// Optimisers and schedules against figures computed elsewhere: tests/oracle/ops/optim.json and schedules.json.
// The problem: loss = mean over the 6x3 entries of (tanh(X W + B) - Y)^2, five steps from W0, B0.

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "autograd/engine.hpp"
#include "nn/optim/adagrad.hpp"
#include "nn/optim/adam.hpp"
#include "nn/optim/rmsprop.hpp"
#include "nn/optim/sgd.hpp"
#include "nn/schedule/schedule.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/paths.hpp"

using namespace gradus;
using nlohmann::json;

namespace {

json read_oracle(const std::string& name) {
  std::ifstream file(test::source_dir() + "/tests/oracle/ops/" + name);
  REQUIRE(file.good());
  return json::parse(file);
}

Tensor tensor_of(const json& j, DType dtype) {
  const auto data = j.at("data").get<std::vector<double>>();
  const auto sizes = j.at("shape").get<std::vector<std::int64_t>>();
  Shape shape;
  for (const std::int64_t n : sizes) shape.push_back(n);
  return from_data<double>(data, shape, {.dtype = dtype});
}

struct Problem : Module {
  explicit Problem(const json& j, DType dtype)
      : x(reshape(tensor_of(j.at("X"), dtype), {6, 4, 1})),
        y(tensor_of(j.at("Y"), dtype)),
        w(tensor_of(j.at("W0"), dtype)),
        b(tensor_of(j.at("B0"), dtype)) {}
  Tensor forward(const Tensor&) override {
    const Tensor product = sum(mul(x, reshape(w, {1, 4, 3})), {1});
    const Tensor error = sub(tanh(add(product, b)), y);
    return mean(mul(error, error));
  }
  Tensor x, y;
  Parameter w, b;
  GRADUS_MEMBERS(w, b)
};

std::unique_ptr<optim::Optimizer> make(Module& m, const json& a) {
  const std::string kind = a.at("kind");
  const double lr = a.contains("lr") ? a.at("lr").get<double>() : a.at("lr_per_step").at(0).get<double>();
  const double decay = a.value("weight_decay", 0.0), momentum = a.value("momentum", 0.0);
  if (kind == "sgd" || kind.starts_with("velocity form"))
    return std::make_unique<optim::Sgd>(m, optim::SgdOptions{.lr = lr,
                                                             .momentum = momentum,
                                                             .dampening = a.value("dampening", 0.0),
                                                             .weight_decay = decay,
                                                             .nesterov = a.value("nesterov", false),
                                                             .maximize = a.value("maximize", false),
                                                             .velocity_form = kind != "sgd"});
  if (kind.starts_with("rmsprop"))
    return std::make_unique<optim::RmsProp>(m, optim::RmsPropOptions{.lr = lr,
                                                                     .alpha = a.at("alpha"),
                                                                     .eps = a.at("eps"),
                                                                     .momentum = momentum,
                                                                     .weight_decay = decay,
                                                                     .centered = a.value("centered", false),
                                                                     .tensorflow_form = kind != "rmsprop"});
  if (kind == "adagrad")
    return std::make_unique<optim::Adagrad>(m,
                                            optim::AdagradOptions{.lr = lr, .weight_decay = decay, .eps = a.at("eps")});
  const optim::AdamOptions adam{.lr = lr,
                                .beta1 = a.at("betas").at(0),
                                .beta2 = a.at("betas").at(1),
                                .eps = a.at("eps"),
                                .weight_decay = decay,
                                .amsgrad = a.value("amsgrad", false)};
  if (kind == "adam") return std::make_unique<optim::Adam>(m, adam);
  REQUIRE_MESSAGE(kind == "adamw", kind);
  return std::make_unique<optim::AdamW>(m, adam);
}

void compare(const Tensor& got, const json& expected, double tolerance, const std::string& what) {
  const std::vector<double> values = got.to_vector<double>(), reference = expected.get<std::vector<double>>();
  REQUIRE(values.size() == reference.size());
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, std::abs(reference[i]));
    error = std::max(error, std::abs(values[i] - reference[i]));
  }
  CHECK_MESSAGE(error <= tolerance * largest, what, ": error ", error, " at magnitude ", largest);
}

void run_cases(DType dtype, double tolerance) {
  const json oracle = read_oracle("optim.json");
  CHECK(oracle.at("cases").size() >= 19);
  for (const json& c : oracle.at("cases")) {
    Problem problem(oracle, dtype);
    const std::unique_ptr<optim::Optimizer> optimizer = make(problem, c.at("attrs"));
    for (std::size_t t = 0; t < c.at("steps").size(); ++t) {
      const json& step = c.at("steps")[t];
      const std::string what = c.at("case").get<std::string>() + " step " + std::to_string(t);
      if (c.at("attrs").contains("lr_per_step")) optimizer->set_lr(c.at("attrs").at("lr_per_step").at(t));
      optimizer->zero_grad();
      const Tensor loss = problem({});
      backward(loss);
      CHECK_MESSAGE(loss.item() == doctest::Approx(step.at("loss").get<double>()).epsilon(tolerance), what);
      compare(grad_of(problem.w), step.at("grad_W"), tolerance, what + " grad_W");
      compare(grad_of(problem.b), step.at("grad_B"), tolerance, what + " grad_B");
      optimizer->step();
      compare(problem.w, step.at("W"), tolerance, what + " W");
      compare(problem.b, step.at("B"), tolerance, what + " B");
    }
  }
}

Schedule make_schedule(const std::string& name, const json& a) {
  const double lr = a.at("base_lr");
  const auto number = [&](const char* key) { return a.at(key).get<std::int64_t>(); };
  const auto milestones = [&] { return a.at("milestones").get<std::vector<std::int64_t>>(); };
  if (name == "step") return schedule::step(lr, number("step"), a.at("gamma"));
  if (name == "multistep") return schedule::multi_step(lr, milestones(), a.at("gamma"));
  if (name == "exponential") return schedule::exponential(lr, a.at("gamma"));
  if (name == "cosine") return schedule::cosine(lr, number("T_max"), a.at("min_lr"));
  if (name.starts_with("poly")) return schedule::polynomial(lr, number("max"), a.at("power"));
  if (name.starts_with("staircase")) return schedule::step(lr, number("every"), a.at("gamma"));
  if (name == "warmup_then_multistep")
    return schedule::constant_warmup(number("warmup"), a.at("warmup_lr"),
                                     schedule::multi_step(lr, milestones(), a.at("gamma")));
  REQUIRE_MESSAGE(name == "linear_warmup_then_cosine", name);
  return schedule::linear_warmup(number("warmup"), schedule::cosine(lr, number("total") - number("warmup")));
}

}  // namespace

TEST_CASE("optimisers: five steps of every form equal the reference in f64") { run_cases(DType::f64, 1e-11); }

TEST_CASE("optimisers: five steps of every form equal the reference in f32") { run_cases(DType::f32, 1e-5); }

TEST_CASE("schedules: every rate equals the reference") {
  const json oracle = read_oracle("schedules.json");
  CHECK(oracle.size() >= 8);
  for (const json& c : oracle) {
    const std::string name = c.at("case");
    const Schedule schedule = make_schedule(name, c.at("attrs"));
    const auto expected = c.at("lr").get<std::vector<double>>();
    for (std::size_t t = 0; t < expected.size(); ++t) {
      const double error = std::abs(schedule(static_cast<std::int64_t>(t)) - expected[t]);
      CHECK_MESSAGE(error <= 1e-11, name, " at ", t, ": error ", error);
    }
  }
}
