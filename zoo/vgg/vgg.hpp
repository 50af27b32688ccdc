#pragma once
// VGG (Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
// arXiv:1409.1556, table 1), without and with batch norm. Names as torchvision's.

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// A column of table 1.
enum class VggColumn { A, A_LRN, B, C, D, E };

/// x [N, 3, H, W] -> [N, classes], H and W at least 32.
struct Vgg : Classifier {
  Vgg(VggColumn column, bool batch_norm, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Vgg"; }

  Sequential features;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Sequential classifier;
  GRADUS_MEMBERS(features, avgpool, flatten, classifier)
};

/// For 32 x 32 images: the convolutions of a column with batch norm, then one linear layer.
struct CifarVgg : Classifier {
  CifarVgg(VggColumn column, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "CifarVgg"; }

  Sequential features;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Linear classifier;
  GRADUS_MEMBERS(features, avgpool, flatten, classifier)
};

std::vector<ModelInfo> vgg_models();

}  // namespace gradus::zoo
