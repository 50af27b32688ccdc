#include "nn/layers/conv_bn.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/node.hpp"
#include "core/random.hpp"
#include "nn/init.hpp"
#include "nn/layers/activation.hpp"
#include "nn/sequential.hpp"
#include "ops/candidates.hpp"
#include "ops/channel_rows/moments.hpp"

namespace gradus {
namespace {

/// A convolution and a batch norm in f64 whose parameters and statistics are no round numbers.
struct Layers {
  Conv2d conv{6, 10, {.kernel = 3, .padding = 1}};
  BatchNorm2d bn{10};
  Tensor x, residual;

  Layers() {
    conv.to(DType::f64), bn.to(DType::f64);
    Generator generator{3, 0};
    const TensorOptions f64{.dtype = DType::f64, .format = Format::channels_last};
    x = randn({2, 6, 5, 7}, f64, generator), residual = randn({2, 10, 5, 7}, f64, generator);
    uniform_(bn.weight, 0.5, 2, generator), uniform_(bn.bias, -1, 1, generator);
    uniform_(bn.running_mean, -1, 1, generator), uniform_(bn.running_var, 0.5, 2, generator);
  }
};

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  double m = 0;
  for (std::size_t i = 0; i < u.size(); ++i) m = std::max(m, std::abs(u[i] - v[i]));
  return m;
}

/// fn() in one pass (without a tape) and by layers (with one).
template <class Fn>
void check_one_pass(Fn&& fn) {
  const Tensor by_layers = fn();
  CHECK(by_layers.requires_grad());
  const NoGrad off;
  const Tensor one_pass = fn();
  CHECK(largest_difference(one_pass, by_layers) < 1e-12);
}

}  // namespace

TEST_CASE("conv_bn: in one pass evaluating, by layers on the tape: the same values") {
  Layers l;
  l.conv.eval(), l.bn.eval();
  check_one_pass([&] { return conv_bn_relu(l.conv, l.bn, l.x); });
  check_one_pass([&] { return conv_bn_relu(l.conv, l.bn, l.x, l.residual); });
  check_one_pass([&] { return conv_bn(l.conv, l.bn, l.x); });
  check_one_pass([&] { return conv_relu(l.conv, l.x); });
}

TEST_CASE("conv_bn: a batch norm in training uses and updates the batch's statistics, tape or none") {
  Layers l;
  const NoGrad off;
  const auto before = l.bn.running_mean.to_vector<double>();
  const Tensor y = conv_bn_relu(l.conv, l.bn, l.x);
  CHECK(l.bn.running_mean.to_vector<double>() != before);
  CHECK(largest_difference(y, l.bn.relu(l.conv(l.x))) < 1e-12);
}

TEST_CASE("conv_bn: an observer sees each layer") {
  struct Counter final : ForwardObserver {
    void before(Module&, const Tensor&) override {}
    void after(Module&, const Tensor&, const Tensor&) override { ++modules; }
    int modules = 0;
  };
  Layers l;
  l.conv.eval(), l.bn.eval();
  const NoGrad off;
  const Counter counter;
  conv_bn_relu(l.conv, l.bn, l.x);
  CHECK(counter.modules == 2);
}

TEST_CASE("conv_before: training, the convolution leaves the moments of its result to the batch norm") {
  Generator generator{9, 0};
  const Tensor x = randn({20, 24, 6, 7}, {.format = Format::channels_last}, generator);
  BatchNorm2d bn(40);
  Conv2d conv(24, 40, {.kernel = 1, .bias = false});
  const ForceKernel force("conv2d.forward", "direct");  // of the few that take none, another may be asked for
  const auto has_moments = [&] { return kept_moments(conv_before(conv, bn, x), 20 * 42, 40) != nullptr; };
  CHECK(has_moments());
  bn.eval();
  CHECK_FALSE(has_moments());
  bn.train();
  const Tensor with = conv_bn_relu(conv, bn, x), mean = bn.running_mean.clone();
  bn.running_mean.fill_(0);
  CHECK(largest_difference(with, bn.relu(conv(x))) < 1e-5);
  CHECK(largest_difference(mean, bn.running_mean) < 1e-6);
}

TEST_CASE("bn_relu_conv: the same values whether the convolution normalises or the batch norm does") {
  Generator generator{7, 0};
  const Tensor x = randn({3, 24, 5, 6}, {.format = Format::channels_last}, generator);
  struct Silent final : ForwardObserver {
    void before(Module&, const Tensor&) override {}
    void after(Module&, const Tensor&, const Tensor&) override {}
  };
  for (const int kernel : {1, 3}) {
    CAPTURE(kernel);
    BatchNorm2d bn(24);
    Conv2d conv(24, 20, {.kernel = kernel, .padding = kernel / 2});
    const Tensor as_it_runs = bn_relu_conv(bn, conv, x);
    Tensor by_layers;
    {
      const Silent observer;
      by_layers = bn_relu_conv(bn, conv, x);
    }
    CHECK(largest_difference(as_it_runs, by_layers) < 1e-5);
    CHECK(largest_difference(as_it_runs, conv(bn.relu(x))) < 1e-5);
    bn.eval();
    CHECK(largest_difference(bn_relu_conv(bn, conv, x), conv(bn.relu(x))) < 1e-12);
    // Anomaly mode names the layer whose result it was.
    bn.train();
    init::constant(bn.weight, std::nan(""));
    const AnomalyMode watches;
    CHECK_THROWS_WITH_AS(bn_relu_conv(bn, conv, x), doctest::Contains("batch_norm: the result has a NaN"), ValueError);
  }
}

TEST_CASE("Sequential: convolutions with what stands behind them, in one pass and by layers") {
  Generator generator{5, 0};
  const Tensor x = randn({2, 6, 9, 8}, {.dtype = DType::f64, .format = Format::channels_last}, generator);
  const Conv2dConfig same{.kernel = 3, .padding = 1};
  // Each order of the three, a convolution at the very end among them.
  Sequential net(Conv2d(6, 8, same), BatchNorm2d(8), ReLU(), Conv2d(8, 8, same), BatchNorm2d(8), Conv2d(8, 4, same),
                 ReLU(), BatchNorm2d(4), ReLU(), ReLU(), Conv2d(4, 3, same));
  net.to(DType::f64);
  for (const NamedState& s : net.state())
    if (s.is_buffer) uniform_(*s.tensor, 0.5, 1.5, generator);
  net.eval();
  check_one_pass([&] { return net(x); });
  Sequential cut(Conv2d(6, 8, same), BatchNorm2d(8), ReLU());
  cut.to(DType::f64), cut.eval();
  cut.recompute_in_parts({0});
  check_one_pass([&] { return cut(x); });
}

}  // namespace gradus
