#pragma once
// GoogLeNet, or Inception-v1 (Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv:1409.4842, table 1): as
// published, with the layer names of the Caffe model files, and torchvision's form with batch norm.

#include "nn/branches.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/conv_bn.hpp"
#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// A row of table 1: channels of the four branches of an inception block (figure 2b).
struct InceptionRow {
  std::int64_t in;
  std::int64_t c1x1;
  std::int64_t reduce3x3, c3x3;
  std::int64_t reduce5x5, c5x5;
  std::int64_t pool;
  std::int64_t out() const { return c1x1 + c3x3 + c5x5 + pool; }
};

/// An auxiliary classifier of the paper (section 5): average 5x5 stride 3, 1x1 to 128, 1024 units, logits.
struct GoogLeNetHead : Module {
  GoogLeNetHead(std::string prefix, std::int64_t in, std::int64_t classes, double dropout);
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;
  std::string type_name() const override { return "GoogLeNetHead"; }

  std::string prefix;  // "loss1": the layers are named loss1_conv, …
  AvgPool2d ave_pool;
  Conv2d conv;
  AdaptiveAvgPool2d fit;
  Flatten flatten;
  Linear fc;
  Dropout drop;
  Linear classifier;
};

/// The paper's network: biases, response normalisation, two auxiliary heads that count 0.3 each in training.
/// x [N, 3, H, W] -> [N, classes].
struct GoogLeNetPaper : Classifier {
  explicit GoogLeNetPaper(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  Heads forward_heads(const Tensor& x) override;
  void members(MemberVisitor& visit) override;
  std::string type_name() const override { return "GoogLeNetPaper"; }

  Sequential to_4a, to_4d, to_5b;
  GoogLeNetHead loss1, loss2;
  AdaptiveAvgPool2d pool;
  Flatten flatten;
  Dropout drop;
  Linear classifier;
};

/// torchvision's auxiliary classifier: average to 4x4, 1x1 with batch norm to 128, 1024 units, logits.
struct GoogLeNetAux : Module {
  GoogLeNetAux(std::int64_t in, std::int64_t classes);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "GoogLeNetAux"; }

  AdaptiveAvgPool2d pool;
  ConvBnRelu conv;
  Flatten flatten;
  Linear fc1;
  Dropout dropout;
  Linear fc2;
  GRADUS_MEMBERS(pool, conv, flatten, fc1, dropout, fc2)
};

/// torchvision's network: batch norm (eps 1e-3) and no biases, no response normalisation, 3x3 where the paper has 5x5
/// (a slip its weights depend on), a 2x2 pool before 5a. x [N, 3, H, W] -> [N, classes].
struct GoogLeNet : Classifier {
  explicit GoogLeNet(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  Heads forward_heads(const Tensor& x) override;
  std::string type_name() const override { return "GoogLeNet"; }

  ConvBnRelu conv1;
  MaxPool2d maxpool1;
  ConvBnRelu conv2, conv3;
  MaxPool2d maxpool2;
  Branches inception3a, inception3b;
  MaxPool2d maxpool3;
  Branches inception4a, inception4b, inception4c, inception4d, inception4e;
  MaxPool2d maxpool4;
  Branches inception5a, inception5b;
  GoogLeNetAux aux1, aux2;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Dropout dropout;
  Linear fc;
  GRADUS_MEMBERS(conv1, maxpool1, conv2, conv3, maxpool2, inception3a, inception3b, maxpool3, inception4a, inception4b,
                 inception4c, inception4d, inception4e, maxpool4, inception5a, inception5b, aux1, aux2, avgpool,
                 flatten, dropout, fc)

 private:
  Tensor run(const Tensor& x, Heads* heads);
};

/// For 32 x 32 images: one 3x3 convolution for a stem, the paper's 5x5, batch norm, no heads.
struct CifarGoogLeNet : Classifier {
  explicit CifarGoogLeNet(const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "CifarGoogLeNet"; }

  ConvBnRelu conv1;
  Branches inception3a, inception3b;
  MaxPool2d maxpool3;
  Branches inception4a, inception4b, inception4c, inception4d, inception4e;
  MaxPool2d maxpool4;
  Branches inception5a, inception5b;
  AdaptiveAvgPool2d avgpool;
  Flatten flatten;
  Dropout dropout;
  Linear fc;
  GRADUS_MEMBERS(conv1, inception3a, inception3b, maxpool3, inception4a, inception4b, inception4c, inception4d,
                 inception4e, maxpool4, inception5a, inception5b, avgpool, flatten, dropout, fc)
};

std::vector<ModelInfo> googlenet_models();

}  // namespace gradus::zoo
