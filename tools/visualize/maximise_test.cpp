#include "tools/visualize/maximise.hpp"

#include <doctest/doctest.h>

#include "core/random.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"

using namespace gradus;
using namespace gradus::program;

TEST_CASE("maximise: the score rises, and the same seed gives the same picture") {
  manual_seed(3);
  Sequential net(Conv2d(3, 4, {.kernel = 3, .padding = 1}), ReLU(), AdaptiveAvgPool2d(1), Flatten());
  net.name_paths();
  double first = 0, last = 0;
  const auto run = [&] {
    return maximise([&](const Tensor& x) { return class_score(net, x, 2); }, {.size = 16, .steps = 30},
                    [&](int step, double score) {
                      if (step == 0) first = score;
                      last = score;
                      return true;
                    });
  };
  const Tensor x = run();
  CHECK(x.shape() == Shape{1, 3, 16, 16});
  CHECK(last > first + 0.1);
  CHECK(run().to_vector<float>() == x.to_vector<float>());
  CHECK(feature_score(net, x, "0", 2).item() == feature_score(net, x, "0", 2).item());
  CHECK_THROWS_WITH_AS(class_score(net, x, 9), "--class: 9 is none of the 4 classes", ValueError);
  CHECK_THROWS_WITH_AS(feature_score(net, x, "0", 9), doctest::Contains("none of the 4 of layer 0"), ValueError);
}
