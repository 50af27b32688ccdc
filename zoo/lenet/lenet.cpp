#include "zoo/lenet/lenet.hpp"

#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {

// Layers C1, S2, C3, S4, C5, F6 of figure 2. C3 sees all of S2's maps (the paper's table 1 leaves some out), and the
// averages of S2 and S4 have no coefficients of their own.
LeNet5::LeNet5(const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 6, {.kernel = 5}),  // 28
      pool1(2),                                                      // 14
      conv2(6, 16, {.kernel = 5}),                                   // 10
      pool2(2),                                                      // 5
      fc1(16 * 5 * 5, 120),
      fc2(120, 84),
      fc3(84, or_paper(options.classes, 10)) {
  if (options.init == Init::framework) return;
  // Section 4.6: uniform in +-2.4 / fan_in, for sigmoids of about unit slope.
  for (NamedParameter& p : named_parameters()) {
    if (p.parameter->rank() < 2) {
      init::constant(*p.parameter, 0);
      continue;
    }
    const double bound = 2.4 / init::fan_in(*p.parameter);
    init::uniform(*p.parameter, -bound, bound);
  }
}

Tensor LeNet5::forward(const Tensor& x) {
  Tensor y = pool1(tanh(conv1(x)));
  y = pool2(tanh(conv2(y)));
  y = tanh(fc1(flatten(y)));
  y = tanh(fc2(y));
  return fc3(y);
}

std::vector<ModelInfo> lenet_models() {
  return {{.name = "lenet5",
           .family = "lenet",
           .title = "LeNet-5",
           .year = 1998,
           .paper = "LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition",
           .input = 32,
           .smallest = 32,
           .classes = 10,
           .naming = "gradus",
           .build = build_net<LeNet5>}};
}

}  // namespace gradus::zoo
