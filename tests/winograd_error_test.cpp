// How far the Winograd convolutions are from f64 on every 3x3 layer of the zoo that they would take, at the layer's own
// size: inputs as a rectifier leaves them, He's weights, gradients that are normal. docs/performance.md has the
// figures.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "autograd/node.hpp"
#include "core/random.hpp"
#include "nn/layers/conv2d.hpp"
#include "ops/candidates.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/sanitizer.hpp"
#include "zoo/registry.hpp"

using namespace gradus;

namespace {

/// Channels and places of a 3x3 layer of stride 1 and padding 1: all that Winograd's error can depend on.
struct Layer {
  std::int64_t in, out, height, width;
  auto operator<=>(const Layer&) const = default;  // NOLINT(modernize-use-nullptr): it means the 0 behind <=>
};

struct Layers final : ForwardObserver {
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor&) override {
    const auto* conv = dynamic_cast<const Conv2d*>(&module);
    if (conv == nullptr) return;
    const Conv2dConfig& c = conv->config();
    const Shape w = conv->weight.shape();
    if (w[2] == 3 && w[3] == 3 && c.stride == Pair(1) && c.padding == Pair(1) && c.dilation == Pair(1) && c.groups == 1)
      found.insert({x.size(1), w[0], x.size(2), x.size(3)});
  }
  std::set<Layer> found;
};

std::set<Layer> layers_of_the_zoo() {
  const ConstructOn meta(kMeta);
  const NoGrad off;
  Layers layers;
  for (const zoo::ModelInfo& info : zoo::models()) {
    const auto net = zoo::build(info.name);
    net->eval();
    (*net)(empty({1, 3, info.input, info.input}, {.device = kMeta}));
  }
  return std::move(layers.found);
}

/// Largest difference, of the largest magnitude.
double error_of(const Tensor& got, const Tensor& exact) {
  const std::vector<double> a = got.to_vector<double>(), b = exact.to_vector<double>();
  double most = 0, off = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    most = std::max(most, std::abs(b[i]));
    off = std::max(off, std::abs(a[i] - b[i]));
  }
  return off / most;
}

/// Errors of one candidate of one kernel over the layers that it takes.
struct Errors {
  double largest = 0, sum = 0;
  int layers = 0;
  Layer worst{};
  void add(const Layer& layer, double error) {
    ++layers;
    sum += error;
    if (error > largest) largest = error, worst = layer;
  }
};

}  // namespace

TEST_CASE("winograd: errors over the zoo's layers stay within stated bounds of f64") {
  const NoGrad off;
  const std::set<Layer> layers = layers_of_the_zoo();
  REQUIRE(layers.size() > 60);
  std::map<std::string, Errors> errors;  // "kernel candidate"
  const Conv2dOptions same{.padding = 1};
  for (const Layer& l : layers) {
    ConvShape shape{
        .N = 1, .C = l.in, .H = l.height, .W = l.width, .K = l.out, .R = 3, .S = 3, .P = l.height, .Q = l.width};
    shape.padding_h = shape.padding_w = 1;
    const bool any = cpu::is_winograd(shape, 2, false) || cpu::is_winograd(shape, 4, false) ||
                     cpu::is_winograd_weight(shape, 2) || cpu::is_winograd_weight(shape, 4);
    if (!any) continue;
    // Under a sanitizer, the small layers: they run the same code.
    if (test::kSanitized && l.in * l.out * l.height * l.width > 4'000'000) continue;
    Generator generator{7, 0};
    const TensorOptions in_f64{.dtype = DType::f64, .format = Format::channels_last};
    const auto rounded = [](const Tensor& t) { return to(to(t, DType::f32), DType::f64); };
    const double he = std::sqrt(2.0 / static_cast<double>(9 * l.in));
    const Tensor x = rounded(relu(randn({1, l.in, l.height, l.width}, in_f64, generator)));
    const Tensor w = rounded(affine(randn({l.out, l.in, 3, 3}, in_f64, generator), he, 0));
    const Tensor gy = rounded(randn({1, l.out, l.height, l.width}, in_f64, generator));
    const Tensor y = conv2d(x, w, {}, same), gx = conv2d_input_grad(gy, w, x.shape(), same),
                 gw = conv2d_weight_grad(x, gy, w.shape(), same);
    const Tensor x32 = to(x, DType::f32), w32 = to(w, DType::f32), gy32 = to(gy, DType::f32);
    const auto check = [&](const char* kernel, const std::string& candidate, const auto& run, const Tensor& exact) {
      const ForceKernel forced(kernel, candidate);
      errors[std::string(kernel) + " " + candidate].add(l, error_of(run(), exact));
    };
    const auto forward = [&] { return conv2d(x32, w32, {}, same); };
    const auto backward_input = [&] { return conv2d_input_grad(gy32, w32, x.shape(), same); };
    const auto backward_weight = [&] { return conv2d_weight_grad(x32, gy32, w.shape(), same); };
    for (const int tile : {2, 4}) {
      const std::string name = tile == 2 ? "winograd_f2x2" : "winograd_f4x4";
      if (cpu::is_winograd(shape, tile, false)) check("conv2d.forward", name, forward, y);
      if (cpu::is_winograd(shape, tile, false)) check("conv2d.backward_input", name, backward_input, gx);
      if (cpu::is_winograd_weight(shape, tile)) check("conv2d.backward_weight", name, backward_weight, gw);
    }
    check("conv2d.forward", "direct", forward, y);
    check("conv2d.backward_input", "direct", backward_input, gx);
    check("conv2d.backward_weight", "direct", backward_weight, gw);
  }
  // Bounds: about twice what AVX2 gave.
  const std::map<std::string, double> bounds{
      {"conv2d.forward winograd_f2x2", 2e-6},
      {"conv2d.forward winograd_f4x4", 3e-5},
      {"conv2d.backward_input winograd_f2x2", 2e-6},
      {"conv2d.backward_input winograd_f4x4", 3e-5},
      {"conv2d.backward_weight winograd_f2x2", 3e-6},
      {"conv2d.backward_weight winograd_f4x4", 2e-5},
      {"conv2d.forward direct", 4e-6},
      {"conv2d.backward_input direct", 5e-6},
      {"conv2d.backward_weight direct", 3e-6},
  };
  for (const auto& entry : errors) {
    const std::string& what = entry.first;
    const Errors& e = entry.second;
    MESSAGE(what << ": " << e.layers << " layers, largest " << e.largest << " (" << e.worst.in << "->" << e.worst.out
                 << " @" << e.worst.height << "), mean " << e.sum / e.layers);
    REQUIRE(bounds.contains(what));
    CHECK_MESSAGE(e.largest < bounds.at(what), what);
  }
  CHECK(errors.contains("conv2d.forward winograd_f2x2"));
  CHECK(errors.contains("conv2d.backward_input winograd_f4x4"));
  CHECK(errors.contains("conv2d.backward_weight winograd_f4x4"));
}
