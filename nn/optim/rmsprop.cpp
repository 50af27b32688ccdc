#include "nn/optim/rmsprop.hpp"

namespace gradus::optim {

RmsProp::RmsProp(const std::vector<ParameterGroup>& groups, const RmsPropOptions& options)
    : Optimizer(groups, options.lr,
                {"square_avg", options.momentum != 0 ? "momentum_buffer" : "", options.centered ? "grad_avg" : ""}),
      options_(options) {
  check(options.alpha >= 0 && options.alpha <= 1, "rmsprop: alpha must be in [0, 1], got {}", options.alpha);
  check(options.eps >= 0, "rmsprop: eps must not be negative, got {}", options.eps);
  check(options.momentum >= 0, "rmsprop: momentum must not be negative, got {}", options.momentum);
  check(options.weight_decay >= 0, "rmsprop: weight_decay must not be negative, got {}", options.weight_decay);
  if (options.tensorflow_form)
    for (Slot& slot : slots()) slot.state[0].fill_(1);
}

void RmsProp::update() {
  run_slots(optim_simd().rmsprop, [&](const Slot& slot) {
    const RmsPropOptions& o = options_;
    const double lr = this->lr() * slot.lr_scale;
    return RmsPropCoefficients{.decay = o.weight_decay * slot.weight_decay_scale,
                               .alpha = o.alpha,
                               .eps = o.eps,
                               .momentum = o.momentum,
                               .inner_lr = o.tensorflow_form ? lr : 1,
                               .outer_lr = o.tensorflow_form ? 1 : lr,
                               .eps_inside = o.tensorflow_form};
  });
}

}  // namespace gradus::optim
