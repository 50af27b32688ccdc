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

/// Squeeze and excitation around any module M: y = se(module(x)). `channels` are those of the module's result; an
/// SE-VGG is made of Excited<Conv2d>s.
template <class M>
requires std::is_base_of_v<Module, M>
struct Excited : Module {
  Excited(M wrapped, std::int64_t channels, std::int64_t reduction = 16)
      : module(std::move(wrapped)), se_module(channels, reduction) {}
  Tensor forward(const Tensor& x) override { return se_module(module(x)); }
  std::string type_name() const override { return "Excited"; }

  M module;
  SqueezeExcite se_module;
  GRADUS_MEMBERS(module, se_module)
};

}  // namespace gradus
