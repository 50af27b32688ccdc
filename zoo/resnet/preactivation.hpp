#pragma once
// Pre-activation ResNets (He et al. 2016, "Identity Mappings in Deep Residual Networks", arXiv:1603.05027, figure 1b):
// batch norm and ReLU come before the convolutions, and nothing follows the sum.

#include <optional>

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// y = shortcut + conv(relu(bn(…))), two 3x3 or three convolutions of a bottleneck. Where stride or width change, the
/// projection reads the same relu(bn1(x)) as the branch (section 4.2 and the authors' code), not x.
/// x [N, in, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)].
struct PreactBlock : Module {
  PreactBlock(std::int64_t in, std::int64_t width, std::int64_t out, std::int64_t stride, bool bottleneck);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return conv3 ? "PreactBottleneck" : "PreactBlock"; }
  bool is_block() const override { return true; }

  BatchNorm2d bn1;
  Conv2d conv1;
  BatchNorm2d bn2;
  Conv2d conv2;
  std::optional<BatchNorm2d> bn3;
  std::optional<Conv2d> conv3;
  Sequential downsample;
  GRADUS_MEMBERS(bn1, conv1, bn2, conv2, bn3, conv3, downsample)
};

/// For 32 x 32 images: three stages of n blocks. x [N, 3, H, W] -> [N, classes].
struct CifarPreactResNet : Classifier {
  CifarPreactResNet(int n, bool bottleneck, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "CifarPreactResNet"; }

  Conv2d conv1;
  Sequential layer1, layer2, layer3;
  BatchNorm2d bn;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Linear fc;
  GRADUS_MEMBERS(conv1, layer1, layer2, layer3, bn, avgpool, flatten, fc)
};

/// For ImageNet: table 1 of He et al. 2015 with these blocks (names in torchvision's style). x [N, 3, H, W] -> [N,
/// classes].
struct PreactResNet : Classifier {
  PreactResNet(const std::vector<int>& blocks, bool bottleneck, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "PreactResNet"; }

  Conv2d conv1;
  BatchNorm2d bn1;
  MaxPool2d maxpool;
  Sequential layer1, layer2, layer3, layer4;
  BatchNorm2d bn;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Linear fc;
  GRADUS_MEMBERS(conv1, bn1, maxpool, layer1, layer2, layer3, layer4, bn, avgpool, flatten, fc)
};

std::vector<ModelInfo> preactivation_models();

}  // namespace gradus::zoo
