#pragma once
#include "nn/layers/conv2d.hpp"

namespace gradus {

/// Squeeze and excitation (Hu et al. 2018, figure 2): z = the average of each channel; s = sigmoid(fc2(relu(fc1(z))));
/// y = x * s. fc1 and fc2 are 1x1 convolutions with bias, C -> C/reduction -> C. x [N, C, H, W].
class SqueezeExcite : public Module {
 public:
  explicit SqueezeExcite(std::int64_t channels, std::int64_t reduction = 16);
  Tensor forward(const Tensor& x) override;
  /// relu(x * s + residual) in one pass: the end of an SE residual block.
  Tensor add_relu(const Tensor& x, const Tensor& residual);
  std::string type_name() const override { return "SqueezeExcite"; }
  std::string options() const override;

  Conv2d fc1, fc2;
  GRADUS_MEMBERS(fc1, fc2)

 private:
  Tensor gate(const Tensor& x);
};

}  // namespace gradus
