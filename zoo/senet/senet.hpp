#pragma once
// Squeeze-and-excitation networks (Hu et al. 2018, arXiv:1709.01507, table 1 and, for SENet-154, the appendix). Names
// as pretrainedmodels'. SE on Inception networks is in zoo/inception, on CIFAR ResNets in zoo/resnet.

#include "nn/layers/activation.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

struct SENetConfig {
  std::vector<int> blocks;        // per stage
  std::int64_t groups = 1;        // of the 3x3 convolutions
  double reduced = 1, width = 1;  // channels after a block's first 1x1 and after its 3x3, in units of 64 2^stage
  bool stride_on_1x1 = false;     // SE-ResNets follow the first ResNet release, the others do not
  bool deep_stem = false;         // three 3x3 instead of one 7x7
  std::int64_t projection = 1;    // kernel of the shortcuts of stages 2 to 4
  double dropout = 0;
};

/// x [N, 3, H, W] -> [N, classes].
struct SENet : Classifier {
  SENet(const SENetConfig& config, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "SENet"; }

  Sequential layer0, layer1, layer2, layer3, layer4;
  AdaptiveAvgPool2d avg_pool;
  Flatten flatten;
  Dropout dropout;
  Linear last_linear;
  GRADUS_MEMBERS(layer0, layer1, layer2, layer3, layer4, avg_pool, flatten, dropout, last_linear)
};

std::vector<ModelInfo> senet_models();

}  // namespace gradus::zoo
