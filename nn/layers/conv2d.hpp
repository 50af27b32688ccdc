#pragma once
// Convolution layers. Names, shapes and defaults as PyTorch's.

#include "nn/module.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/conv2d/conv2d.hpp"

namespace gradus {

struct Conv2dConfig {
  Pair kernel = 1;
  Pair stride = 1;
  Pair padding = 0;
  Pair dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// x [N, in, H, W] -> [N, out, P, Q], P = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
/// weight [out, in/groups, kernel, kernel], channels-last in memory; bias [out] unless bias = false.
class Conv2d : public Module {
 public:
  Conv2d(std::int64_t in, std::int64_t out, const Conv2dConfig& config);
  Tensor forward(const Tensor& x) override;
  /// forward(x) for a batch norm in training that reads the result next: with its moments, where the kernel takes them.
  Tensor with_moments(const Tensor& x);
  /// The epilogue's scale, shift, residual and ReLU in the convolution's pass (ops/conv2d/conv2d.hpp).
  Tensor with(const Tensor& x, const Conv2dEpilogue& epilogue);
  /// Of a batch norm left to this convolution; only where reads_affine(the batch norm's x). `moments` as above.
  Tensor with(const DeferredBatchNorm& x, bool moments);
  bool reads_affine(const Tensor& x) const;
  std::string type_name() const override { return "Conv2d"; }
  std::string options() const override;
  std::int64_t multiply_adds(const Tensor& x, const Tensor& y) const override;
  const Conv2dConfig& config() const { return config_; }

  Parameter weight, bias;
  GRADUS_MEMBERS(weight, bias)

 private:
  Conv2dOptions op_options(bool moments = false) const;
  Conv2dConfig config_;
};

struct ConvTranspose2dConfig {
  Pair kernel = 1;
  Pair stride = 1;
  Pair padding = 0;
  Pair output_padding = 0;
  Pair dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// The gradient of a convolution as a layer: x [N, in, H, W] -> [N, out, P, Q],
/// P = (H - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1. Its weight is
/// [in, out/groups, kernel, kernel].
class ConvTranspose2d : public Module {
 public:
  ConvTranspose2d(std::int64_t in, std::int64_t out, const ConvTranspose2dConfig& config);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "ConvTranspose2d"; }
  std::string options() const override;
  std::int64_t multiply_adds(const Tensor& x, const Tensor& y) const override;

  Parameter weight, bias;
  GRADUS_MEMBERS(weight, bias)

 private:
  ConvTranspose2dConfig config_;
};

}  // namespace gradus
