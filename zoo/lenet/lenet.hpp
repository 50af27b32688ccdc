#pragma once
// LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition", figure
// 2), with a linear layer of logits in place of the paper's radial basis functions.

#include "nn/layers/activation.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// x [N, channels, 32, 32] -> [N, classes].
struct LeNet5 : Classifier {
  explicit LeNet5(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "LeNet5"; }

  Conv2d conv1;
  AvgPool2d pool1;
  Conv2d conv2;
  AvgPool2d pool2;
  Flatten flatten;
  Linear fc1, fc2, fc3;
  GRADUS_MEMBERS(conv1, pool1, conv2, pool2, flatten, fc1, fc2, fc3)
};

std::vector<ModelInfo> lenet_models();

}  // namespace gradus::zoo
