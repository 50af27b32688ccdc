#include "nn/optim/adam.hpp"

#include <cmath>

namespace gradus::optim {

Adam::Adam(const std::vector<ParameterGroup>& groups, const AdamOptions& options, bool decoupled)
    : Optimizer(groups, options.lr, {"exp_avg", "exp_avg_sq", options.amsgrad ? "max_exp_avg_sq" : ""}),
      options_(options),
      decoupled_(decoupled) {
  check(options.beta1 >= 0 && options.beta1 < 1, "adam: beta1 must be in [0, 1), got {}", options.beta1);
  check(options.beta2 >= 0 && options.beta2 < 1, "adam: beta2 must be in [0, 1), got {}", options.beta2);
  check(options.eps >= 0, "adam: eps must not be negative, got {}", options.eps);
  check(options.weight_decay >= 0, "adam: weight_decay must not be negative, got {}", options.weight_decay);
}

void Adam::update() {
  run_slots(optim_simd().adam, [&](const Slot& slot) {
    const AdamOptions& o = options_;
    const double lr = this->lr() * slot.lr_scale, decay = o.weight_decay * slot.weight_decay_scale;
    const double t = static_cast<double>(slot.steps);
    return AdamCoefficients{.decay = decoupled_ ? 0 : decay,
                            .keep = decoupled_ ? 1 - lr * decay : 1,
                            .beta1 = o.beta1,
                            .beta2 = o.beta2,
                            .lr = lr / (1 - std::pow(o.beta1, t)),
                            .scale = 1 / std::sqrt(1 - std::pow(o.beta2, t)),
                            .eps = o.eps};
  });
}

}  // namespace gradus::optim
