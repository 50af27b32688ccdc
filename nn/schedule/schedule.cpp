#include "nn/schedule/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"

namespace gradus::schedule {
namespace {

void check_lr(const char* name, double lr) {
  check(lr >= 0, "{}: the learning rate must not be negative, got {}", name, lr);
}
void check_length(const char* name, std::int64_t n) {
  check(n > 0, "{}: the length must be positive, got {}", name, n);
}

/// From a to b along half a cosine, x in [0, 1].
double half_cosine(double a, double b, double x) { return b + (a - b) / 2 * (1 + std::cos(std::numbers::pi * x)); }

}  // namespace

Schedule constant(double lr) {
  check_lr("constant", lr);
  return [=](std::int64_t) { return lr; };
}

Schedule step(double lr, std::int64_t every, double gamma) {
  check_lr("step", lr);
  check_length("step", every);
  return [=](std::int64_t t) { return lr * std::pow(gamma, static_cast<double>(t / every)); };
}

Schedule multi_step(double lr, std::vector<std::int64_t> milestones, double gamma) {
  check_lr("multi_step", lr);
  check(std::is_sorted(milestones.begin(), milestones.end()), "multi_step: milestones must rise");
  return [=, milestones = std::move(milestones)](std::int64_t t) {
    const auto reached = std::upper_bound(milestones.begin(), milestones.end(), t) - milestones.begin();
    return lr * std::pow(gamma, static_cast<double>(reached));
  };
}

Schedule exponential(double lr, double gamma) {
  check_lr("exponential", lr);
  return [=](std::int64_t t) { return lr * std::pow(gamma, static_cast<double>(t)); };
}

Schedule cosine(double lr, std::int64_t total, double min_lr) {
  check_lr("cosine", lr);
  check_lr("cosine", min_lr);
  check_length("cosine", total);
  return [=](std::int64_t t) {
    return half_cosine(lr, min_lr, static_cast<double>(std::min(t, total)) / static_cast<double>(total));
  };
}

Schedule polynomial(double lr, std::int64_t total, double power) {
  check_lr("polynomial", lr);
  check_length("polynomial", total);
  check(power > 0, "polynomial: the power must be positive, got {}", power);
  return [=](std::int64_t t) {
    return lr * std::pow(1 - static_cast<double>(std::min(t, total)) / static_cast<double>(total), power);
  };
}

Schedule one_cycle(const OneCycle& o) {
  check_lr("one_cycle", o.max_lr);
  check_length("one_cycle", o.total);
  check(o.rise > 0 && o.rise < 1, "one_cycle: rise must be between 0 and 1, got {}", o.rise);
  check(o.start_div > 0 && o.end_div > 0, "one_cycle: start_div and end_div must be positive, got {} and {}",
        o.start_div, o.end_div);
  return [=](std::int64_t t) {
    const double start = o.max_lr / o.start_div, end = start / o.end_div, time = static_cast<double>(t);
    const double last = static_cast<double>(o.total - 1);
    // In a run of a few steps the climb may be shorter than one of them: then there is none.
    const double peak = std::max(0.0, o.rise * static_cast<double>(o.total) - 1);
    if (time <= peak && peak > 0) return half_cosine(start, o.max_lr, time / peak);
    if (time >= last) return last > 0 ? end : o.max_lr;
    return half_cosine(o.max_lr, end, (time - peak) / (last - peak));
  };
}

Schedule constant_warmup(std::int64_t length, double warmup_lr, Schedule after) {
  check_lr("constant_warmup", warmup_lr);
  check(length >= 0, "constant_warmup: the length must not be negative, got {}", length);
  return [=, after = std::move(after)](std::int64_t t) { return t < length ? warmup_lr : after(t); };
}

Schedule linear_warmup(std::int64_t length, Schedule after) {
  check(length >= 0, "linear_warmup: the length must not be negative, got {}", length);
  return [=, after = std::move(after)](std::int64_t t) {
    if (t >= length) return after(t - length);
    return after(0) * static_cast<double>(t + 1) / static_cast<double>(length);
  };
}

}  // namespace gradus::schedule
