#include "zoo/build.hpp"

#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"

namespace gradus::zoo {
namespace {

void set_bias(const Parameter& bias, double value) {
  if (bias.defined()) init::constant(bias, value);
}

}  // namespace

void init_kaiming(Module& net, init::Fan fan) {
  for_each<Conv2d>(net, [&](Conv2d& conv) {
    init::kaiming_normal(conv.weight, fan);
    set_bias(conv.bias, 0);
  });
}

void init_linear_normal(Module& net, double std) {
  for_each<Linear>(net, [&](Linear& linear) {
    init::normal(linear.weight, 0, std);
    set_bias(linear.bias, 0);
  });
}

void init_normal(Module& net, double std) {
  for_each<Conv2d>(net, [&](Conv2d& conv) {
    init::normal(conv.weight, 0, std);
    set_bias(conv.bias, 0);
  });
  init_linear_normal(net, std);
}

void init_xavier(Module& net, double bias) {
  for_each<Conv2d>(net, [&](Conv2d& conv) {
    init::xavier_uniform(conv.weight);
    set_bias(conv.bias, bias);
  });
  for_each<Linear>(net, [&](Linear& linear) {
    init::xavier_uniform(linear.weight);
    set_bias(linear.bias, bias);
  });
}

}  // namespace gradus::zoo
