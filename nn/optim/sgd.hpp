#pragma once
// Stochastic gradient descent with momentum.
//
//   d = ±g + weight_decay w;   v = momentum v + (1 - dampening) d;   w = w - lr v
//
// with v = d in the first step, as in PyTorch: the learning rate stands outside the velocity, so lowering it brakes at
// once. In the velocity form of Krizhevsky et al. 2012 (section 5) and Caffe it stands inside, v = momentum v - lr d,
// w = w + v: what was gathered at the old rate rolls on. The two differ only when the rate changes.

#include "nn/optim/optimizer.hpp"

namespace gradus::optim {

struct SgdOptions {
  double lr = 0.01;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;   // step along d + momentum v (Sutskever et al. 2013); needs momentum, no dampening
  bool maximize = false;   // climb
  bool decoupled = false;  // w shrinks by lr weight_decay beside the step, not through d (Loshchilov and Hutter 2019)
  bool velocity_form = false;
};

class Sgd final : public Optimizer {
 public:
  /// ValueError for options out of their range.
  Sgd(const std::vector<ParameterGroup>& groups, const SgdOptions& options);
  Sgd(Module& module, const SgdOptions& options) : Sgd(one_group(module), options) {}
  const char* name() const override { return "sgd"; }

 private:
  void update() override;
  SgdOptions options_;
};

}  // namespace gradus::optim
