#pragma once
// Adagrad (Duchi et al. 2011): gradients over the root of the sum of their squares.
//
//   d = g + weight_decay w;   s = s + d^2;   w = w - lr / (1 + (t - 1) lr_decay) d / (sqrt(s) + eps)

#include "nn/optim/optimizer.hpp"

namespace gradus::optim {

struct AdagradOptions {
  double lr = 0.01;
  double lr_decay = 0;
  double weight_decay = 0;
  double initial_sum = 0;
  double eps = 1e-10;
};

class Adagrad final : public Optimizer {
 public:
  /// ValueError for options out of their range.
  Adagrad(const std::vector<ParameterGroup>& groups, const AdagradOptions& options);
  Adagrad(Module& module, const AdagradOptions& options) : Adagrad(one_group(module), options) {}
  const char* name() const override { return "adagrad"; }

 private:
  void update() override;
  AdagradOptions options_;
};

}  // namespace gradus::optim
