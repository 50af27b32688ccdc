#pragma once
// A convolution and the batch norm behind it.

#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"

namespace gradus {

/// relu(bn(conv(x)) [+ residual]). Evaluating on CUDA without a tape it is one pass: the batch norm, as scale and
/// shift, the residual and the ReLU are the convolution's epilogue. Otherwise the two layers one after the other.
Tensor conv_bn_relu(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const Tensor& residual = {});

struct ConvBnConfig {
  Pair kernel = 1;
  Pair stride = 1;
  Pair padding = 0;
  std::int64_t groups = 1;
  double eps = 1e-5;
};

/// relu(bn(conv(x))), the convolution without bias: the unit that Inception networks are made of.
/// x [N, in, H, W] -> [N, out, P, Q].
struct ConvBnRelu : Module {
  ConvBnRelu(std::int64_t in, std::int64_t out, const ConvBnConfig& c = {})
      : conv(in, out,
             {.kernel = c.kernel, .stride = c.stride, .padding = c.padding, .groups = c.groups, .bias = false}),
        bn(out, {.eps = c.eps}) {}
  Tensor forward(const Tensor& x) override { return conv_bn_relu(conv, bn, x); }
  std::string type_name() const override { return "ConvBnRelu"; }

  Conv2d conv;
  BatchNorm2d bn;
  GRADUS_MEMBERS(conv, bn)
};

}  // namespace gradus
