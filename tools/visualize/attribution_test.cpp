// Against a plain PyTorch computation: tests/files/visualize/make_figures.py says how.

#include "tools/visualize/attribution.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "nn/files/files_test_support.hpp"
#include "tests/harness/fill.hpp"
#include "tests/harness/paths.hpp"
#include "zoo/registry.hpp"

using namespace gradus;
using namespace gradus::program;
using nlohmann::json;

namespace {

/// In double precision, so that no rectifier takes the other side of its kink.
std::unique_ptr<Classifier> filled_net(const std::string& name) {
  auto net = zoo::build(name, {.classes = 20});
  net->to(DType::f64);
  const double gain = name == "resnet18" ? 1.0 : 1.9;
  for (const NamedState& s : net->state())
    s.tensor->detach().copy_(test::filled(s.name, s.tensor->shape(), gain, DType::f64));
  net->eval();
  return net;
}

void check_figures(const Tensor& t, const json& expected, double tolerance = 1e-6) {
  const std::vector<double> v = t.to_vector<double>();
  double squares = 0;
  for (const double x : v) squares += x * x;
  const double l2 = expected["l2"];
  CHECK(std::sqrt(squares) == doctest::Approx(l2).epsilon(tolerance));
  CHECK(std::abs(test::probe(v, "") - expected["probe"].get<double>()) <= tolerance * l2);
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(v[i] - expected["first"][i].get<double>()) <= tolerance * l2);
}

}  // namespace

TEST_CASE("attribution: gradients, guided gradients and Grad-CAM are what PyTorch computes") {
  const json figures = json::parse(files::read_all(test::source_dir() + "/tests/files/visualize/figures.json"));
  const Tensor x = test::filled_input({1, 3, 64, 64}, DType::f64);
  constexpr std::int64_t kTarget = 7;
  for (const std::string name : {"squeezenet1_1", "resnet18"}) {
    CAPTURE(name);
    const json& expected = figures[name];
    const auto net = filled_net(name);
    const Tensor g = input_gradient(*net, x, kTarget);
    check_figures(g, expected["gradient"]);
    check_figures(saliency_map(g), expected["saliency"]);
    check_figures(guided_gradient(*net, x, kTarget), expected["guided"]);
    for (const auto& cam : expected["grad_cam"].items()) {
      CAPTURE(cam.key());
      check_figures(grad_cam(*net, x, kTarget, cam.key()), cam.value());
    }
    const std::string last = name == "resnet18" ? "layer4" : "features.12";
    check_figures(grad_cam(*net, x, kTarget), expected["grad_cam"][last]);
  }
}

TEST_CASE("attribution: occlusion covers squares that reach over the edge, as PyTorch computes it") {
  const json figures = json::parse(files::read_all(test::source_dir() + "/tests/files/visualize/figures.json"));
  const auto net = zoo::build("squeezenet1_1", {.classes = 20});
  for (const NamedState& s : net->state())
    s.tensor->detach().copy_(test::filled(s.name, s.tensor->shape(), 1.9, DType::f32));
  net->eval();
  const Tensor x = test::filled_input({1, 3, 64, 64}, DType::f32);
  check_figures(occlusion_map(*net, x, 7, 16, 12), figures["squeezenet1_1"]["occlusion"], 1e-4);
  CHECK_THROWS_WITH_AS(occlusion_map(*net, x, 7, 4, 5), doctest::Contains("leaves pixels uncovered"), ValueError);
}

TEST_CASE("attribution: a class, a layer or a method that is not there is an error that says so") {
  const auto net = filled_net("squeezenet1_1");
  const Tensor x = test::filled_input({1, 3, 64, 64}, DType::f64);
  CHECK_THROWS_WITH_AS(input_gradient(*net, x, 20), "--class: 20 is none of the 20 classes", ValueError);
  CHECK_THROWS_WITH_AS(grad_cam(*net, x, 0, "features.99"),
                       doctest::Contains("no layer \"features.99\" that gave a result; maps come from features.0"),
                       ValueError);
  const auto plain = zoo::build("lenet5");
  plain->eval();
  CHECK_THROWS_WITH_AS(guided_gradient(*plain, test::filled_input({1, 3, 32, 32}, DType::f32), 0),
                       doctest::Contains("this network has no rectifiers"), ValueError);
}
