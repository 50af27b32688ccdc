#pragma once
// BN-Inception, or Inception-v2 (Ioffe and Szegedy 2015, arXiv:1502.03167, figure 5), and the same with squeeze and
// excitation (Hu et al. 2018, arXiv:1709.01507, table 2). Names as in pretrainedmodels and the Caffe file it came from.

#include "nn/layers/activation.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// x [N, 3, H, W] -> [N, classes]. Without excitation the convolutions keep the (useless) biases of the public file;
/// with it they have none, and an SE block follows every inception block.
struct BnInception : Classifier {
  BnInception(bool excited, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;
  std::string type_name() const override { return "BnInception"; }

  Sequential body;
  AdaptiveAvgPool2d global_pool;
  Flatten flatten;
  Dropout drop;
  Linear last_linear;
};

std::vector<ModelInfo> bn_inception_models();

}  // namespace gradus::zoo
