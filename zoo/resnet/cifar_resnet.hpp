#pragma once
// ResNets for 32 x 32 images (He et al. 2015, arXiv:1512.03385, section 4.2), their plain counterparts, and two later
// forms with the same skeleton: with stochastic depth (Huang et al. 2016, arXiv:1603.09382) and with squeeze and
// excitation (Hu et al. 2018, arXiv:1709.01507).

#include <optional>

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/layers/squeeze_excite.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"
#include "zoo/resnet/stochastic_depth.hpp"

namespace gradus::zoo {

/// Shortcut option A (section 3.3): every second pixel of x, and zero channels for those that are new, half of them in
/// front and half behind. Has no parameters. x [N, C, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)].
Tensor shortcut_a(const Tensor& x, std::int64_t out, std::int64_t stride);

struct CifarResNetConfig {
  int n = 3;                   // blocks per stage; 6n + 2 layers
  bool residual = true;        // false: a plain network, the same without the sums
  std::int64_t reduction = 0;  // channels per excited channel; 0: no squeeze and excitation
  double survival = 1;         // probability that the last block survives a mini-batch; 1: no stochastic depth
};

/// Two 3x3 convolutions: y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut). x [N, in, H, W] -> [N, out, H/stride,
/// W/stride].
struct CifarBlock : Module {
  CifarBlock(std::int64_t in, std::int64_t out, std::int64_t stride, const CifarResNetConfig& config, int index,
             const StochasticDepth* depth);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "CifarBlock"; }
  std::string options() const override;
  bool is_block() const override { return true; }

  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  std::optional<SqueezeExcite> se_module;
  GRADUS_MEMBERS(conv1, bn1, conv2, bn2, se_module)

 private:
  std::int64_t out_, stride_;
  bool residual_;
  int index_;                     // over all stages, from 0
  const StochasticDepth* depth_;  // the network's; null without stochastic depth
};

/// x [N, 3, H, W] -> [N, classes]; any H and W.
struct CifarResNet : Classifier, HasStochasticDepth {
  CifarResNet(const CifarResNetConfig& config, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "CifarResNet"; }
  StochasticDepth* stochastic_depth() override { return depth.get(); }

  std::unique_ptr<StochasticDepth> depth;
  Conv2d conv1;
  BatchNorm2d bn1;
  Sequential layer1, layer2, layer3;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Linear linear;
  GRADUS_MEMBERS(conv1, bn1, layer1, layer2, layer3, avgpool, flatten, linear)
};

std::vector<ModelInfo> cifar_resnet_models();

}  // namespace gradus::zoo
