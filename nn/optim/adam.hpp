#pragma once
// Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), which takes weight decay out of the moments.
//
//   m = beta1 m + (1 - beta1) d;   v = beta2 v + (1 - beta2) d^2;   w = w - lr m' / (sqrt(v') + eps)
//
// m' and v' are divided by 1 - beta^t. Adam: d = g + weight_decay w. AdamW: d = g, and w first shrinks by
// lr weight_decay. amsgrad uses the largest v so far (Reddi et al. 2018).

#include "nn/optim/optimizer.hpp"

namespace gradus::optim {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
};

class Adam : public Optimizer {
 public:
  /// ValueError for options out of their range.
  Adam(const std::vector<ParameterGroup>& groups, const AdamOptions& options) : Adam(groups, options, false) {}
  Adam(Module& module, const AdamOptions& options) : Adam(one_group(module), options) {}
  const char* name() const override { return "adam"; }

 protected:
  Adam(const std::vector<ParameterGroup>& groups, const AdamOptions& options, bool decoupled);

 private:
  void update() override;
  AdamOptions options_;
  bool decoupled_;
};

class AdamW final : public Adam {
 public:
  AdamW(const std::vector<ParameterGroup>& groups, const AdamOptions& options) : Adam(groups, options, true) {}
  AdamW(Module& module, const AdamOptions& options) : AdamW(one_group(module), options) {}
  const char* name() const override { return "adamw"; }
};

}  // namespace gradus::optim
