#pragma once
// Inception-v4 and Inception-ResNet-v2 (Szegedy et al. 2016, "Inception-v4, Inception-ResNet and the Impact of Residual
// Connections on Learning", arXiv:1602.07261, figures 3 to 21), and the latter with squeeze and excitation (Hu et al.
// 2018, arXiv:1709.01507; where the excitation stands is our choice, the paper does not say). Names as
// pretrainedmodels'.

#include <optional>

#include "nn/branches.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/conv_bn.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/layers/squeeze_excite.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// x [N, 3, H, W] -> [N, classes].
struct InceptionV4 : Classifier {
  explicit InceptionV4(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "InceptionV4"; }

  Sequential features;
  AdaptiveAvgPool2d avg_pool;
  Flatten flatten;
  Dropout dropout;
  Linear last_linear;
  GRADUS_MEMBERS(features, avg_pool, flatten, dropout, last_linear)
};

/// y = relu(x + scale * [SE](conv2d(branches(x)))); the last block of the network has no ReLU. x, y [N, C, H, W].
struct InceptionResidual : Module {
  /// `joined` channels come out of the branches. reduction 0: no squeeze and excitation.
  InceptionResidual(Branches branches, std::int64_t joined, std::int64_t channels, double scale, bool relu,
                    std::int64_t reduction);
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;
  std::string type_name() const override { return "InceptionResidual"; }
  std::string options() const override;
  bool is_block() const override { return true; }

  Branches branches;
  Conv2d conv2d;  // 1x1 with bias, no batch norm
  std::optional<SqueezeExcite> se_module;

 private:
  double scale_;
  bool relu_;
};

/// x [N, 3, H, W] -> [N, classes].
struct InceptionResNetV2 : Classifier {
  InceptionResNetV2(bool excited, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "InceptionResNetV2"; }

  ConvBnRelu conv2d_1a, conv2d_2a, conv2d_2b;
  MaxPool2d maxpool_3a;
  ConvBnRelu conv2d_3b, conv2d_4a;
  MaxPool2d maxpool_5a;
  Branches mixed_5b;
  Sequential repeat;
  Branches mixed_6a;
  Sequential repeat_1;
  Branches mixed_7a;
  Sequential repeat_2;
  InceptionResidual block8;
  ConvBnRelu conv2d_7b;
  AdaptiveAvgPool2d avgpool_1a;
  Flatten flatten;
  Dropout dropout;
  Linear last_linear;
  GRADUS_MEMBERS(conv2d_1a, conv2d_2a, conv2d_2b, maxpool_3a, conv2d_3b, conv2d_4a, maxpool_5a, mixed_5b, repeat,
                 mixed_6a, repeat_1, mixed_7a, repeat_2, block8, conv2d_7b, avgpool_1a, flatten, dropout, last_linear)
};

std::vector<ModelInfo> inception_v4_models();

}  // namespace gradus::zoo
