#pragma once
#include <utility>

#include "nn/module.hpp"
#include "ops/batch_norm/batch_norm.hpp"

namespace gradus {

struct BatchNormConfig {
  double eps = 1e-5;
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch
  bool affine = true;     // weight and bias
};

/// Batch normalisation (Ioffe and Szegedy 2015) over all dims but the channel's. x [N, C, H, W] or [N, C].
/// Training uses the batch's statistics and updates running_mean and running_var; evaluation uses those.
class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(std::int64_t channels, const BatchNormConfig& config = {});
  Tensor forward(const Tensor& x) override;
  /// relu(bn(x)) in one pass.
  Tensor relu(const Tensor& x);
  /// relu(bn(x) + residual) in one pass: the end of a residual block.
  Tensor add_relu(const Tensor& x, const Tensor& residual);
  /// bn(x) + residual in one pass.
  Tensor add(const Tensor& x, const Tensor& residual);
  /// relu(bn(x)), left to its reader (bn_relu_conv).
  DeferredBatchNorm relu_deferred(const Tensor& x);
  /// Evaluation as y = scale x + shift: [C] each, constants.
  std::pair<Tensor, Tensor> scale_and_shift() const;
  std::string type_name() const override { return "BatchNorm2d"; }
  std::string options() const override;

  Parameter weight, bias;
  Buffer running_mean, running_var;
  GRADUS_MEMBERS(weight, bias, running_mean, running_var)

 private:
  BatchNormOptions options_with(bool relu) const;
  Tensor normalise(const Tensor& x, const Tensor& residual, bool with_relu);
  std::int64_t channels_;
  BatchNormConfig config_;
};

}  // namespace gradus
