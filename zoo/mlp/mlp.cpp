#include "zoo/mlp/mlp.hpp"

#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {
std::int64_t pixels(const ModelOptions& options) {
  const std::int64_t side = or_paper(options.image_size, 32);
  return or_paper(options.image_channels, 3) * side * side;
}
}  // namespace

Mlp::Mlp(const ModelOptions& options)
    : fc1(pixels(options), 512), fc2(512, 512), fc3(512, or_paper(options.classes, 10)) {
  if (options.init == Init::framework) return;
  for (Linear* layer : {&fc1, &fc2}) {
    init::kaiming_normal(layer->weight);
    init::constant(layer->bias, 0);
  }
}

Tensor Mlp::forward(const Tensor& x) {
  Tensor y = relu(fc1(flatten(x)));
  y = relu(fc2(y));
  return fc3(y);
}

std::vector<ModelInfo> mlp_models() {
  return {{.name = "mlp",
           .family = "mlp",
           .title = "Multi-layer perceptron, 512-512",
           .year = 1986,
           .paper = "Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors",
           .input = 32,
           .smallest = 32,
           .classes = 10,
           .naming = "gradus",
           .build = build_net<Mlp>}};
}

}  // namespace gradus::zoo
