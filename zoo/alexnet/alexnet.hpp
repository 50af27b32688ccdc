#pragma once
// AlexNet (Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks",
// section 3) and ZFNet (Zeiler and Fergus 2013, arXiv:1311.2901, figure 3).

#include "nn/layers/activation.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// The eight layers that both papers have: five convolutions, with response normalisation and overlapping pooling after
/// the first two and pooling after the fifth, and three linear layers. Names as in the Caffe model files.
struct EightLayersConfig {
  struct Convolution {
    std::int64_t out;
    Conv2dConfig config;
  };
  Convolution conv1, conv2, conv3, conv4, conv5;
  bool norm_first = true;      // ReLU, norm, pool (AlexNet); otherwise ReLU, pool, norm (ZFNet)
  bool ceil_mode = false;      // of the first two pools
  std::int64_t side = 6;       // of the map that the linear layers see
  std::int64_t hidden = 4096;  // units of fc6 and fc7
  double bias = 0;             // initial biases of conv2, conv4, conv5, fc6 and fc7 in the paper
};

/// x [N, 3, H, W] -> [N, classes]. Sizes other than the native one are averaged (or repeated) to the head's map.
struct EightLayers : Classifier {
  EightLayers(const EightLayersConfig& config, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "EightLayers"; }

  Sequential features;
  AdaptiveAvgPool2d fit;
  Flatten flatten;
  Sequential classifier;
  void members(MemberVisitor& visit) override {
    visit("", features);
    visit("fit", fit);
    visit("flatten", flatten);
    visit("", classifier);
  }
};

/// torchvision's AlexNet: one tower, fewer filters, no response normalisation (Krizhevsky 2014, arXiv:1404.5997).
/// x [N, 3, H, W] -> [N, classes].
struct AlexNet : Classifier {
  explicit AlexNet(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "AlexNet"; }

  Sequential features;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Sequential classifier;
  GRADUS_MEMBERS(features, avgpool, flatten, classifier)
};

std::vector<ModelInfo> alexnet_models();

}  // namespace gradus::zoo
