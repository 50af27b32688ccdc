#pragma once
// Dual path networks (Chen et al. 2017, arXiv:1707.01629, table 1): a residual path of fixed width beside a dense one
// that grows. Names as pretrainedmodels'.

#include <array>
#include <optional>

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"
#include "zoo/registry.hpp"

namespace gradus::zoo {

/// conv(relu(bn(x))), batch norm with eps 1e-3.
struct BnReluConv : Module {
  BnReluConv(std::int64_t in, std::int64_t out, const Conv2dConfig& config)
      : bn(in, {.eps = 1e-3}), conv(in, out, config) {}
  Tensor forward(const Tensor& x) override { return conv(bn.relu(x)); }
  std::string type_name() const override { return "BnReluConv"; }

  BatchNorm2d bn;
  Conv2d conv;
  GRADUS_MEMBERS(bn, conv)
};

/// A column of table 1.
struct DpnConfig {
  std::int64_t stem, stem_kernel;
  std::int64_t inner;                     // channels of the first stage's 3x3, doubled from stage to stage
  std::int64_t residual;                  // width of the first stage's residual path, likewise
  std::array<std::int64_t, 4> increment;  // channels each block adds to the dense path
  std::array<int, 4> blocks;
  std::int64_t groups;
};

/// One block. Both paths travel in one tensor, the residual one's channels first: y = [residual + a, dense, b], where
/// [a, b] comes out of the branch. The first block of a stage projects x to both paths beforehand.
struct DpnBlock : Module {
  DpnBlock(std::int64_t in, std::int64_t inner, std::int64_t residual, std::int64_t increment, std::int64_t groups,
           std::int64_t stride, bool first);
  Tensor forward(const Tensor& x) override;
  void members(MemberVisitor& visit) override;
  std::string type_name() const override { return "DpnBlock"; }
  bool is_block() const override { return true; }

  std::optional<BnReluConv> c1x1_w;  // named c1x1_w_s1 or c1x1_w_s2, by its stride
  BnReluConv c1x1_a, c3x3_b, c1x1_c;

 private:
  std::int64_t residual_, stride_;
};

/// x [N, 3, H, W] -> [N, classes].
struct Dpn : Classifier {
  Dpn(const DpnConfig& config, const ModelOptions& options);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Dpn"; }

  Sequential features;
  AdaptiveAvgPool2d avg_pool;
  Conv2d last_linear;  // a 1x1 convolution in the published files
  Flatten flatten;
  GRADUS_MEMBERS(features, avg_pool, last_linear, flatten)
};

std::vector<ModelInfo> dpn_models();

}  // namespace gradus::zoo
