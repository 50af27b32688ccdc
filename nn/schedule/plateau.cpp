#include "nn/schedule/plateau.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace gradus {

Plateau::Plateau(double lr, const PlateauOptions& options) : options_(options), state_{.lr = lr} {
  check(lr >= 0, "plateau: the learning rate must not be negative, got {}", lr);
  check(options.factor > 0 && options.factor < 1, "plateau: factor must be between 0 and 1, got {}", options.factor);
  check(options.patience >= 0 && options.cooldown >= 0,
        "plateau: patience and cooldown must not be negative, got {} and {}", options.patience, options.cooldown);
}

double Plateau::observe(double metric) {
  State& s = state_;
  const double margin = options_.threshold;
  const bool better = options_.higher_is_better ? metric > s.best * (1 + margin) : metric < s.best * (1 - margin);
  const bool first = !s.seen && metric == metric;
  if (first || (s.seen && better)) {
    s.best = metric;
    s.seen = true;
    s.bad = 0;
  } else {
    ++s.bad;
  }
  if (s.cooling > 0) {
    --s.cooling;
    s.bad = 0;
  }
  if (s.bad > options_.patience) {
    s.lr = std::max(s.lr * options_.factor, options_.min_lr);
    s.cooling = options_.cooldown;
    s.bad = 0;
  }
  return s.lr;
}

}  // namespace gradus
