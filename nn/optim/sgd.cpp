#include "nn/optim/sgd.hpp"

namespace gradus::optim {

Sgd::Sgd(const std::vector<ParameterGroup>& groups, const SgdOptions& options)
    : Optimizer(groups, options.lr, {options.momentum != 0 ? "momentum_buffer" : "", "", ""}), options_(options) {
  check(options.momentum >= 0, "sgd: momentum must not be negative, got {}", options.momentum);
  check(options.weight_decay >= 0, "sgd: weight_decay must not be negative, got {}", options.weight_decay);
  check(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
        "sgd: nesterov needs momentum and no dampening, got momentum {} and dampening {}", options.momentum,
        options.dampening);
  check(!options.velocity_form || options.dampening == 0, "sgd: the velocity form knows no dampening, got {}",
        options.dampening);
}

void Sgd::update() {
  run_slots(optim_simd().sgd, [&](const Slot& slot) {
    const SgdOptions& o = options_;
    const double lr = this->lr() * slot.lr_scale, decay = o.weight_decay * slot.weight_decay_scale;
    SgdCoefficients c{};
    c.g_scale = o.maximize ? -1 : 1;
    c.decay = o.decoupled ? 0 : decay;
    c.keep = o.decoupled ? 1 - lr * decay : 1;
    c.momentum = o.momentum;
    if (o.velocity_form) {
      c.gradient = -lr;
      c.by_gradient = o.nesterov ? -lr : 0;
      c.by_velocity = o.nesterov ? o.momentum : 1;
    } else {
      c.gradient = slot.steps == 1 ? 1 : 1 - o.dampening;
      c.by_gradient = o.nesterov ? -lr : 0;
      c.by_velocity = o.nesterov ? -lr * o.momentum : -lr;
    }
    if (o.momentum == 0) c.by_gradient = -lr;  // no velocity is kept
    return c;
  });
}

}  // namespace gradus::optim
