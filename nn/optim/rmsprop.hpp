#pragma once
// RMSprop (Tieleman and Hinton 2012): gradients over a running root mean square.
//
//   d = g + weight_decay w;   s = alpha s + (1 - alpha) d^2;   b = momentum b + d / (sqrt(s) + eps);   w = w - lr b
//
// centered subtracts the square of the running mean inside the root (Graves 2013). The TensorFlow form, which trained
// the Inception networks (Szegedy et al. 2016, section 8: alpha 0.9, momentum 0.9, eps 1), has eps inside the root,
// s = 1 at the start, and the learning rate inside the momentum: b = momentum b + lr d / sqrt(s + eps), w = w - b.

#include "nn/optim/optimizer.hpp"

namespace gradus::optim {

struct RmsPropOptions {
  double lr = 0.01;
  double alpha = 0.99;
  double eps = 1e-8;
  double momentum = 0;
  double weight_decay = 0;
  bool centered = false;
  bool tensorflow_form = false;
};

class RmsProp final : public Optimizer {
 public:
  /// ValueError for options out of their range.
  RmsProp(const std::vector<ParameterGroup>& groups, const RmsPropOptions& options);
  RmsProp(Module& module, const RmsPropOptions& options) : RmsProp(one_group(module), options) {}
  const char* name() const override { return "rmsprop"; }

 private:
  void update() override;
  RmsPropOptions options_;
};

}  // namespace gradus::optim
