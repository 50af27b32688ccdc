#pragma once
// A multi-layer perceptron: the smallest network that learns something of images.

#include "nn/layers/activation.hpp"
#include "nn/layers/linear.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// x [N, channels, size, size] -> [N, classes]: pixels, two hidden layers of 512 with ReLU, logits. Built for one size
/// of image (ModelOptions::image_size, 32).
struct Mlp : Classifier {
  explicit Mlp(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Mlp"; }

  Flatten flatten;
  Linear fc1, fc2, fc3;
  GRADUS_MEMBERS(flatten, fc1, fc2, fc3)
};

std::vector<ModelInfo> mlp_models();

}  // namespace gradus::zoo
