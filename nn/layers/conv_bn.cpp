#include "nn/layers/conv_bn.hpp"

#include <tuple>

#include "autograd/node.hpp"
#include "ops/pointwise/unary.hpp"

namespace gradus {

// An observer is shown each layer.
bool runs_as_one(const BatchNorm2d* bn) {
  return !(bn && bn->is_training()) && !grad_enabled() && !ForwardObserver::current();
}

Tensor conv_as_one(Conv2d& conv, const BatchNorm2d* bn, const Tensor& x, const Tensor& residual, bool relu) {
  Conv2dEpilogue epilogue{.residual = residual, .relu = relu};
  if (bn) std::tie(epilogue.scale, epilogue.shift) = bn->scale_and_shift();
  return conv.with(x, epilogue);
}

Tensor conv_before(Conv2d& conv, const BatchNorm2d& bn, const Tensor& x) {
  return bn.is_training() ? conv.with_moments(x) : conv(x);
}

Tensor conv_bn_relu(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, const Tensor& residual) {
  if (runs_as_one(&bn)) return conv_as_one(conv, &bn, x, residual, true);
  const Tensor y = conv_before(conv, bn, x);
  return residual.defined() ? bn.add_relu(y, residual) : bn.relu(y);
}

Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x) {
  return runs_as_one(&bn) ? conv_as_one(conv, &bn, x, {}, false) : bn(conv_before(conv, bn, x));
}

// An observer is shown what the batch norm makes, and anomaly mode looks for the layer whose result is not finite.
Tensor bn_relu_conv(BatchNorm2d& bn, Conv2d& conv, const Tensor& x, const BatchNorm2d* reader) {
  const bool unseen = !ForwardObserver::current() && !anomaly_enabled();
  if (unseen && bn.is_training() && grad_enabled() && conv.reads_affine(x))
    return conv.with(bn.relu_deferred(x), reader && reader->is_training());
  const Tensor y = bn.relu(x);
  return reader ? conv_before(conv, *reader, y) : conv(y);
}

Tensor conv_relu(Conv2d& conv, const Tensor& x) {
  return runs_as_one(nullptr) ? conv_as_one(conv, nullptr, x, {}, true) : relu(conv(x));
}

}  // namespace gradus
