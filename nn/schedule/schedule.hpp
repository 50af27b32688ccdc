#pragma once
// Learning-rate schedules: functions of time. `t` counts optimiser steps or epochs from 0, whichever the caller counts;
// lengths below are in the same unit. A schedule has no state: a resumed run needs t alone.
//
//   const Schedule lr = schedule::linear_warmup(500, schedule::cosine(0.1, 39'500));
//   for (t = 0; t < 40'000; ++t) { optimizer.set_lr(lr(t)); … }
//
// What reacts to how training goes is Plateau (plateau.hpp).

#include <cstdint>
#include <functional>
#include <vector>

namespace gradus {

/// The learning rate at time t.
using Schedule = std::function<double(std::int64_t t)>;

namespace schedule {

Schedule constant(double lr);
/// lr gamma^(t / every), the quotient rounded down: stairs.
Schedule step(double lr, std::int64_t every, double gamma = 0.1);
/// lr gamma^(number of milestones reached).
Schedule multi_step(double lr, std::vector<std::int64_t> milestones, double gamma = 0.1);
/// lr gamma^t.
Schedule exponential(double lr, double gamma);
/// From lr to min_lr along half a cosine over `total`, min_lr after (Loshchilov and Hutter 2017, without restarts).
Schedule cosine(double lr, std::int64_t total, double min_lr = 0);
/// lr (1 - t/total)^power, 0 after.
Schedule polynomial(double lr, std::int64_t total, double power);

struct OneCycle {
  double max_lr = 0.1;
  std::int64_t total = 0;
  double rise = 0.3;      // share of the time spent climbing
  double start_div = 25;  // start at max_lr / start_div
  double end_div = 1e4;   // end at the start's rate / end_div
};
/// Up and down again in two halves of cosines (Smith and Topin 2018, in PyTorch's two-phase form): the peak is at
/// t = rise total - 1, the end at t = total - 1.
Schedule one_cycle(const OneCycle& options);

/// warmup_lr while t < length, then `after`, whose own time runs from the very start (He et al. 2016a, section 4.2:
/// ResNet-110 at 0.01 until it learns).
Schedule constant_warmup(std::int64_t length, double warmup_lr, Schedule after);
/// after(0) (t + 1) / length while t < length, then `after`, whose time begins there (Goyal et al. 2017).
Schedule linear_warmup(std::int64_t length, Schedule after);

}  // namespace schedule
}  // namespace gradus
