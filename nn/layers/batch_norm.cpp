#include "nn/layers/batch_norm.hpp"

#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"

namespace gradus {

BatchNorm2d::BatchNorm2d(std::int64_t channels, const BatchNormConfig& config) : channels_(channels), config_(config) {
  check(channels > 0, "BatchNorm2d: channels are positive, got {}", channels);
  const TensorOptions options{.device = construction_device()};
  if (config.affine) {
    weight = Parameter(ones({channels}, options));
    bias = Parameter(zeros({channels}, options));
  }
  running_mean = Buffer(zeros({channels}, options));
  running_var = Buffer(ones({channels}, options));
}

BatchNormOptions BatchNorm2d::options_with(bool relu) const {
  return {.training = is_training(), .momentum = config_.momentum, .eps = config_.eps, .relu = relu};
}

Tensor BatchNorm2d::normalise(const Tensor& x, const Tensor& residual, bool with_relu) {
  return observed(
      x, [&] { return batch_norm(x, running_mean, running_var, weight, bias, options_with(with_relu), residual); });
}

Tensor BatchNorm2d::forward(const Tensor& x) {
  return batch_norm(x, running_mean, running_var, weight, bias, options_with(false));
}
Tensor BatchNorm2d::relu(const Tensor& x) { return normalise(x, {}, true); }
Tensor BatchNorm2d::add_relu(const Tensor& x, const Tensor& residual) { return normalise(x, residual, true); }
Tensor BatchNorm2d::add(const Tensor& x, const Tensor& residual) { return normalise(x, residual, false); }

DeferredBatchNorm BatchNorm2d::relu_deferred(const Tensor& x) {
  DeferredBatchNorm result;
  observed(x, [&] {
    result = batch_norm_deferred(x, running_mean, running_var, weight, bias, options_with(true));
    return result.y;
  });
  return result;
}

std::pair<Tensor, Tensor> BatchNorm2d::scale_and_shift() const {
  const NoGrad constants;
  Tensor scale = rsqrt(affine(running_var, 1, config_.eps));
  if (config_.affine) scale = scale * weight;
  const Tensor shift = running_mean * scale;
  return {scale, config_.affine ? bias - shift : affine(shift, -1, 0)};
}

std::string BatchNorm2d::options() const {
  return fmt::format("{}{}", channels_, config_.eps == 1e-5 ? "" : fmt::format(", eps {}", config_.eps));
}

}  // namespace gradus
