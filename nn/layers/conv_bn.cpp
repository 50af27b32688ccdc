#include "nn/layers/conv_bn.hpp"

#include "autograd/node.hpp"
#include "ops/conv2d/conv2d.hpp"

namespace gradus {

Tensor conv_bn_relu(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const Tensor& residual) {
  // An observer is shown each layer.
  const bool fused =
      x.device().type == DeviceType::cuda && !bn.is_training() && !grad_enabled() && !ForwardObserver::current();
  if (!fused) return residual.defined() ? bn.add_relu(conv(x), residual) : bn.relu(conv(x));
  const auto [scale, shift] = bn.scale_and_shift();
  const Conv2dConfig& c = conv.config();
  return conv2d(x, conv.weight, conv.bias,
                {.stride = c.stride, .padding = c.padding, .dilation = c.dilation, .groups = c.groups},
                {.scale = scale, .shift = shift, .residual = residual, .relu = true});
}

}  // namespace gradus
