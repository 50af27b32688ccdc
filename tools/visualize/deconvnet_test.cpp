#include "tools/visualize/deconvnet.hpp"

#include <doctest/doctest.h>

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"

using namespace gradus;
using namespace gradus::program;

namespace {

Tensor tensor(const std::vector<float>& values, const Shape& shape) { return from_data<float>(values, shape); }

void set(const Tensor& parameter, const std::vector<float>& values) {
  parameter.detach().copy_(from_data<float>(values, parameter.shape()));
}

Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, const std::vector<float>& weights) {
  Conv2d conv(in, out, {.kernel = kernel, .padding = kernel / 2, .bias = false});
  set(conv.weight, weights);
  return conv;
}

}  // namespace

TEST_CASE("deconv: a network small enough for paper and pencil") {
  // Two features, x and -x; rectified; the largest of 2 x 2; 2 times the first less the second.
  Sequential net(convolution(1, 2, 1, {1, -1}), ReLU(), MaxPool2d(2), convolution(2, 1, 1, {2, -1}));
  net.name_paths();
  net.eval();
  const Tensor x = tensor({1, -4, 0, 0,  //
                           3, 0, 0, 0,   //
                           0, 0, 5, 0,   //
                           0, 0, 0, 0},
                          {1, 1, 4, 4});
  // First block: max of x is 3 at (1, 0), of -x 4 at (0, 1): 2 * 3 - 4 = 2. Back: 2 * 2 = 4 for the first feature, -2
  // for the second, which the rectifier stops; the switch puts the 4 at (1, 0), and the filter 1 leaves it.
  // (The gradient would be 2 at (1, 0) and 1 at (0, 1).)
  CHECK(deconvolve(net, x, "3", {0, 0, 0}).to_vector<float>() ==
        std::vector<float>{0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  // Last block: 2 * 5 = 10, back 20 at (2, 2); the second feature has 0 everywhere and a switch that gets -10.
  CHECK(deconvolve(net, x, "3", {0, 1, 1}).to_vector<float>() ==
        std::vector<float>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0});
}

TEST_CASE("deconv: a rectifier ignores what it let through on the way forth") {
  Sequential net(convolution(1, 1, 1, {1}), ReLU(), convolution(1, 1, 3, {0, 0, 0, 1, 0, 0, 0, 0, 0}));
  net.name_paths();
  net.eval();
  // y(0, 1) reads its left neighbour, x(0, 0) = 3; y(0, 2) reads x(0, 1) = -2, rectified to 0.
  const Tensor x = tensor({3, -2, 0}, {1, 1, 1, 3});
  CHECK(deconvolve(net, x, "2", {0, 0, 1}).to_vector<float>() == std::vector<float>{3, 0, 0});
  CHECK(deconvolve(net, x, "0", {0, 0, 1}).to_vector<float>() == std::vector<float>{0, -2, 0});
}

TEST_CASE("deconv: a convolution applies its filter turned round: an activation paints the filter at its place") {
  Sequential net(convolution(1, 1, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9}));
  net.name_paths();
  const Tensor x = tensor({0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0}, {1, 1, 3, 4});
  // y(1, 1) = 2 * 6 (x stands right of it); the filter times 12, centred at (1, 1).
  CHECK(deconvolve(net, x, "0", {0, 1, 1}).to_vector<float>() ==
        std::vector<float>{12, 24, 36, 0, 48, 60, 72, 0, 84, 96, 108, 0});
}

TEST_CASE("deconv: what has no inverse is named") {
  Sequential net(convolution(1, 1, 1, {1}), BatchNorm2d(1), ReLU());
  net.name_paths();
  net.eval();
  CHECK_THROWS_WITH_AS(deconvolve(net, ones({1, 1, 2, 2}), "1", {0, 0, 0}),
                       doctest::Contains("layer 1 (batch_norm) has no inverse in a deconvolutional network"),
                       ValueError);
  CHECK_THROWS_WITH_AS(deconvolve(net, ones({1, 1, 2, 2}), "0", {0, 2, 0}),
                       doctest::Contains("feature 0 at (2, 0) is outside layer 0"), ValueError);
}

TEST_CASE("deconv: the strongest activations are kept in order, one a picture") {
  Sequential net(convolution(1, 2, 1, {1, -1}));
  net.name_paths();
  TopActivations top("0", 2);
  top.add(net, tensor({1, 5, 0, -3, 2, 2}, {3, 1, 1, 2}), 10);
  REQUIRE(top.features() == 2);
  REQUIRE(top.of(0).size() == 2);
  CHECK(top.of(0)[0].sample == 10);
  CHECK(top.of(0)[0].place.column == 1);
  CHECK(top.of(0)[0].value == 5);
  CHECK(top.of(0)[1].sample == 12);
  REQUIRE(top.of(1).size() == 1);  // what is not positive excites nothing
  CHECK(top.of(1)[0].value == 3);
  CHECK(top.strongest(1) == std::vector<std::int64_t>{0});
}

TEST_CASE("deconv: the extent of a projection is its smallest rectangle") {
  const Extent e = extent_of(tensor({0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}, {1, 1, 3, 4}));
  CHECK(e.top == 1);
  CHECK(e.left == 0);
  CHECK(e.bottom == 3);
  CHECK(e.right == 1);
}
