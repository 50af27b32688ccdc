#pragma once
// DenseNet (Huang et al. 2016, "Densely Connected Convolutional Networks", arXiv:1608.06993, table 1 and section 4):
// names as torchvision's; the CIFAR forms as in the memory-efficient implementation by Pleiss.

#include <optional>

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// What a dense layer appends: BN, ReLU, 1x1 to 4k, BN, ReLU, 3x3 to k channels (DenseNet-B), or BN, ReLU, 3x3 to k.
/// x [N, in, H, W] -> [N, k, H, W].
struct DenseLayer : Module {
  DenseLayer(std::int64_t in, std::int64_t growth_rate, bool bottleneck, double dropout);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "DenseLayer"; }
  bool is_block() const override { return true; }

  BatchNorm2d norm1;
  Conv2d conv1;
  std::optional<BatchNorm2d> norm2;
  std::optional<Conv2d> conv2;
  Dropout dropout;
  GRADUS_MEMBERS(norm1, conv1, norm2, conv2, dropout)
};

/// Each layer reads the block's input and what all layers before it appended. x [N, in, H, W] -> [N, in + layers k, H,
/// W]. Without recomputing, backward keeps every layer's concatenated input and its normalised copy: memory that grows
/// with the square of the depth. With it, a layer keeps only what it appended.
struct DenseBlock : Module {
  DenseBlock(int layers, std::int64_t in, std::int64_t growth_rate, bool bottleneck, double dropout);
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;
  std::string type_name() const override { return "DenseBlock"; }

  std::vector<std::unique_ptr<DenseLayer>> layers;  // named denselayer1, denselayer2, …

 private:
  std::int64_t out_;
};

struct DenseNetConfig {
  std::vector<int> layers;        // per block
  std::int64_t growth_rate = 32;  // k
  std::int64_t stem = 64;         // channels before the first block: 2k
  bool bottleneck = true;         // B: the 1x1 convolutions
  double compression = 0.5;       // C: theta < 1, channels a transition keeps
  bool small_images = false;      // a 3x3 stem and three blocks instead of a 7x7 one with pooling and four
};

/// x [N, 3, H, W] -> [N, classes].
struct DenseNet : Classifier {
  DenseNet(const DenseNetConfig& config, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "DenseNet"; }

  Sequential features;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  std::unique_ptr<Linear> classifier;  // made when the last block's width is known
  GRADUS_MEMBERS(features, avgpool, flatten, classifier)
};

std::vector<ModelInfo> densenet_models();

}  // namespace gradus::zoo
