#pragma once
// Inception-v3 (Szegedy et al. 2015, "Rethinking the Inception Architecture for Computer Vision", arXiv:1512.00567,
// table 1 and figures 5 to 10). Names as torchvision's.

#include "nn/branches.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/conv_bn.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// The auxiliary classifier behind Mixed_6e: average 5x5 stride 3, 1x1 to 128, 5x5 to 768, logits.
struct InceptionAux : Module {
  explicit InceptionAux(std::int64_t classes);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "InceptionAux"; }

  AvgPool2d pool;
  ConvBnRelu conv0, conv1;
  AdaptiveAvgPool2d fit;
  Flatten flatten;
  Linear fc;
  GRADUS_MEMBERS(pool, conv0, conv1, fit, flatten, fc)
};

/// x [N, 3, H, W] -> [N, classes]. The auxiliary head counts 0.4 in training.
struct InceptionV3 : Classifier {
  explicit InceptionV3(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  Heads forward_heads(const Tensor& x) override;
  std::string type_name() const override { return "InceptionV3"; }

  ConvBnRelu Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3;
  MaxPool2d maxpool1;
  ConvBnRelu Conv2d_3b_1x1, Conv2d_4a_3x3;
  MaxPool2d maxpool2;
  Branches Mixed_5b, Mixed_5c, Mixed_5d;
  Branches Mixed_6a, Mixed_6b, Mixed_6c, Mixed_6d, Mixed_6e;
  InceptionAux AuxLogits;
  Branches Mixed_7a, Mixed_7b, Mixed_7c;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Dropout dropout;
  Linear fc;
  GRADUS_MEMBERS(Conv2d_1a_3x3, Conv2d_2a_3x3, Conv2d_2b_3x3, maxpool1, Conv2d_3b_1x1, Conv2d_4a_3x3, maxpool2,
                 Mixed_5b, Mixed_5c, Mixed_5d, Mixed_6a, Mixed_6b, Mixed_6c, Mixed_6d, Mixed_6e, AuxLogits, Mixed_7a,
                 Mixed_7b, Mixed_7c, avgpool, flatten, dropout, fc)

 private:
  Tensor run(const Tensor& x, Heads* heads);
};

std::vector<ModelInfo> inception_v3_models();

}  // namespace gradus::zoo
