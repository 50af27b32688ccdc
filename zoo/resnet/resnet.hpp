#pragma once
// ResNets for ImageNet (He et al. 2015, arXiv:1512.03385, table 1) and what keeps their skeleton: wide residual
// networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146) and ResNeXt (Xie et al. 2017, arXiv:1611.05431). Names as
// torchvision's.

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

/// A block's place in a network with stochastic depth; `depth` is null elsewhere.
struct BlockDepth {
  const StochasticDepth* depth = nullptr;
  int index = 0;  // over all stages, from 0
};

/// Figure 5, left: y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut).
/// x [N, in, H, W] -> [N, out, ceil(H / stride), ceil(W / stride)].
struct BasicBlock : Module {
  BasicBlock(std::int64_t in, std::int64_t out, std::int64_t stride, BlockDepth place = {});
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "BasicBlock"; }
  bool is_block() const override { return true; }

  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  Sequential downsample;  // option B: empty (the identity) unless stride or width change
  GRADUS_MEMBERS(conv1, bn1, conv2, bn2, downsample)

 private:
  BlockDepth place_;
};

struct BottleneckConfig {
  std::int64_t in = 0;
  std::int64_t reduced = 0;  // channels after conv1
  std::int64_t width = 0;    // channels after conv2
  std::int64_t out = 0;
  std::int64_t stride = 1;
  bool stride_on_1x1 = false;   // on conv1 ("v1", the paper's) instead of on conv2 ("v1.5", torchvision's)
  std::int64_t groups = 1;      // of conv2
  std::int64_t projection = 1;  // kernel of the projection shortcut
  std::int64_t reduction = 0;   // of squeeze and excitation after bn3; 0: without
};

/// Figure 5, right: 1x1 reduces, 3x3, 1x1 restores; y = relu([SE](bn3(conv3(…))) + shortcut). Grouped, it is ResNeXt's
/// block in form (c) of that paper's figure 3; with SE it is figure 3 of Hu et al. 2018 (arXiv:1709.01507).
struct Bottleneck : Module {
  explicit Bottleneck(const BottleneckConfig& config, BlockDepth place = {});
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return se_module ? "SEBottleneck" : "Bottleneck"; }
  bool is_block() const override { return true; }

  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  Conv2d conv3;
  BatchNorm2d bn3;
  std::optional<SqueezeExcite> se_module;
  Sequential downsample;
  GRADUS_MEMBERS(conv1, bn1, conv2, bn2, conv3, bn3, se_module, downsample)

 private:
  BlockDepth place_;
};

struct ResNetConfig {
  bool bottleneck = true;
  std::vector<int> blocks;       // per stage
  std::int64_t groups = 1;       // ResNeXt's cardinality
  std::int64_t base_width = 64;  // channels per group of the first stage's 3x3
  double survival = 1;           // stochastic depth's p_L
};

/// x [N, 3, H, W] -> [N, classes].
struct ResNet : Classifier, HasStochasticDepth {
  ResNet(const ResNetConfig& config, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "ResNet"; }
  StochasticDepth* stochastic_depth() override { return depth.get(); }

  std::unique_ptr<StochasticDepth> depth;
  Conv2d conv1;
  BatchNorm2d bn1;
  MaxPool2d maxpool;
  Sequential layer1, layer2, layer3, layer4;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Linear fc;
  GRADUS_MEMBERS(conv1, bn1, maxpool, layer1, layer2, layer3, layer4, avgpool, flatten, fc)
};

/// ResNeXt for 32 x 32 images (Xie et al. 2017, section 5.3): three stages of three blocks.
struct CifarResNext : Classifier {
  CifarResNext(std::int64_t cardinality, std::int64_t base_width, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "CifarResNext"; }

  Conv2d conv1;
  BatchNorm2d bn1;
  Sequential layer1, layer2, layer3;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Linear fc;
  GRADUS_MEMBERS(conv1, bn1, layer1, layer2, layer3, avgpool, flatten, fc)
};

std::vector<ModelInfo> resnet_models();
std::vector<ModelInfo> resnext_models();

}  // namespace gradus::zoo
