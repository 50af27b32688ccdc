#pragma once
// A convolution and what stands behind it: batch norm, residual, ReLU.
//
// Evaluating without a tape they run in one pass: the batch norm, as scale and shift, the residual and the ReLU are the
// convolution's epilogue. Otherwise they are layers one after the other, and so they are where an observer watches.

#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"

namespace gradus {

/// relu(bn(conv(x)) [+ residual]).
Tensor conv_bn_relu(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const Tensor& residual = {});
/// bn(conv(x)).
Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x);
/// relu(conv(x)).
Tensor conv_relu(Conv2d& conv, const Tensor& x);

/// conv(relu(bn(x))): a layer of a DenseNet, whose batch norm stands before its convolution. Training on the CPU, a 1x1
/// convolution normalises as it reads x, where its kernel can. `reader`: the batch norm that reads the result next.
Tensor bn_relu_conv(BatchNorm2d& bn, Conv2d& conv, const Tensor& x, const BatchNorm2d* reader = nullptr);

/// conv(x) for `bn` to read next: training, the convolution takes the statistics where its kernel can.
Tensor conv_before(Conv2d& conv, const BatchNorm2d& bn, const Tensor& x);
/// Whether a convolution and `bn` (null: none) run in one pass now.
bool runs_as_one(const BatchNorm2d* bn);
/// [relu]([bn](conv(x)) [+ residual]) in one pass, evaluating.
Tensor conv_as_one(Conv2d& conv, const BatchNorm2d* bn, const Tensor& x, const Tensor& residual, bool relu);

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
