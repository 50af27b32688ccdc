#pragma once
// SqueezeNet (Iandola et al. 2016, arXiv:1602.07360, table 1) and its version 1.1. Names as torchvision's.

#include "nn/layers/activation.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// Figure 1: a squeezing 1x1, then 1x1 and 3x3 side by side. x [N, in, H, W] -> [N, 2 * expand, H, W].
struct Fire : Module {
  Fire(std::int64_t in, std::int64_t squeezed, std::int64_t expand);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Fire"; }
  bool is_block() const override { return true; }

  Conv2d squeeze, expand1x1, expand3x3;
  GRADUS_MEMBERS(squeeze, expand1x1, expand3x3)
};

/// x [N, 3, H, W] -> [N, classes].
struct SqueezeNet : Classifier {
  SqueezeNet(bool version_1_1, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "SqueezeNet"; }

  Sequential features, classifier;
  Flatten flatten;
  GRADUS_MEMBERS(features, classifier, flatten)
};

std::vector<ModelInfo> squeezenet_models();

}  // namespace gradus::zoo
