#pragma once
// Layers without parameters that work element by element, and reshaping.

#include "nn/module.hpp"

namespace gradus {

struct Identity : Module {
  Tensor forward(const Tensor& x) override { return x; }
  std::string type_name() const override { return "Identity"; }
};

struct ReLU : Module {
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "ReLU"; }
};

struct LeakyReLU : Module {
  explicit LeakyReLU(double negative_slope = 0.01) : slope(negative_slope) {}
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "LeakyReLU"; }
  double slope;
};

struct Sigmoid : Module {
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Sigmoid"; }
};

struct Tanh : Module {
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Tanh"; }
};

/// Dims start … end merged, in logical order: [N, C, H, W] -> [N, C*H*W].
struct Flatten : Module {
  explicit Flatten(std::int64_t start_dim = 1) : start(start_dim) {}
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Flatten"; }
  std::int64_t start;
};

/// Zeroes elements with probability p in training and scales the others by 1 / (1 - p) (Srivastava et al. 2014).
/// The identity in evaluation.
struct Dropout : Module {
  explicit Dropout(double probability = 0.5);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Dropout"; }
  std::string options() const override;
  double p;
};

struct LocalResponseNormConfig {
  std::int64_t size = 5;
  double alpha = 1e-4;
  double beta = 0.75;
  double k = 1;
};
/// y = x / (k + alpha/size * sum of squares over `size` neighbouring channels)^beta (Krizhevsky et al. 2012, section
/// 3.3, in PyTorch's convention: the paper's alpha is alpha/size here).
struct LocalResponseNorm : Module {
  explicit LocalResponseNorm(const LocalResponseNormConfig& c = {}) : config(c) {}
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "LocalResponseNorm"; }
  std::string options() const override;
  LocalResponseNormConfig config;
};

struct Upsample : Module {
  explicit Upsample(std::int64_t scale_factor, bool is_bilinear = false) : scale(scale_factor), bilinear(is_bilinear) {}
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Upsample"; }
  std::int64_t scale;
  bool bilinear;
};

}  // namespace gradus
