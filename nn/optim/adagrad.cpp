#include "nn/optim/adagrad.hpp"

namespace gradus::optim {

Adagrad::Adagrad(const std::vector<ParameterGroup>& groups, const AdagradOptions& options)
    : Optimizer(groups, options.lr, {"sum", "", ""}), options_(options) {
  check(options.lr_decay >= 0, "adagrad: lr_decay must not be negative, got {}", options.lr_decay);
  check(options.weight_decay >= 0, "adagrad: weight_decay must not be negative, got {}", options.weight_decay);
  check(options.initial_sum >= 0, "adagrad: initial_sum must not be negative, got {}", options.initial_sum);
  check(options.eps >= 0, "adagrad: eps must not be negative, got {}", options.eps);
  for (Slot& slot : slots()) slot.state[0].fill_(options.initial_sum);
}

void Adagrad::update() {
  run_slots(optim_simd().adagrad, [&](const Slot& slot) {
    const double t = static_cast<double>(slot.steps);
    return AdagradCoefficients{.decay = options_.weight_decay * slot.weight_decay_scale,
                               .lr = lr() * slot.lr_scale / (1 + (t - 1) * options_.lr_decay),
                               .eps = options_.eps};
  });
}

}  // namespace gradus::optim
