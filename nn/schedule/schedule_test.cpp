#include "nn/schedule/schedule.hpp"

#include <doctest/doctest.h>

#include "core/error.hpp"
#include "nn/schedule/plateau.hpp"

using namespace gradus;

TEST_CASE("one_cycle: starts low, peaks after the rise, ends at almost nothing") {
  const Schedule lr = schedule::one_cycle({.max_lr = 0.5, .total = 100});
  CHECK(lr(0) == doctest::Approx(0.02));
  CHECK(lr(29) == doctest::Approx(0.5));
  CHECK(lr(99) == doctest::Approx(2e-6));
  CHECK(lr(1000) == doctest::Approx(2e-6));
  for (int t = 0; t < 29; ++t) CHECK(lr(t) < lr(t + 1));
  for (int t = 29; t < 99; ++t) CHECK(lr(t) > lr(t + 1));
}

TEST_CASE("one_cycle: equals PyTorch's OneCycleLR") {  // max_lr 1, total_steps 10
  const double expected[] = {0.04,         0.52,         1.0,          0.950484669,  0.811745653,
                             0.6112626595, 0.3887413405, 0.1882583470, 0.0495193306, 4e-6};
  const Schedule lr = schedule::one_cycle({.max_lr = 1, .total = 10});
  for (int t = 0; t < 10; ++t) CHECK(lr(t) == doctest::Approx(expected[t]).epsilon(1e-4));
}

TEST_CASE("one_cycle: runs of one and two steps have sensible rates") {
  CHECK(schedule::one_cycle({.max_lr = 1, .total = 1})(0) == 1);
  CHECK(schedule::one_cycle({.max_lr = 1, .total = 2})(0) == 1);
}

TEST_CASE("schedules: time past the end keeps the last value") {
  CHECK(schedule::cosine(0.1, 10, 0.01)(25) == doctest::Approx(0.01));
  CHECK(schedule::polynomial(0.1, 10, 2)(25) == 0);
}

TEST_CASE("schedules: refuse what makes no sense") {
  CHECK_THROWS_WITH_AS(schedule::cosine(0.1, 0), "cosine: the length must be positive, got 0", ValueError);
  CHECK_THROWS_WITH_AS(schedule::multi_step(0.1, {20, 10}), "multi_step: milestones must rise", ValueError);
  CHECK_THROWS_WITH_AS(schedule::step(-1, 5), "step: the learning rate must not be negative, got -1", ValueError);
}

TEST_CASE("plateau: cuts the rate once patience is over, then waits out the cooldown") {
  Plateau plateau(1, {.factor = 0.5, .patience = 1, .cooldown = 1});
  CHECK(plateau.observe(3) == 1);    // the first is the best so far
  CHECK(plateau.observe(2) == 1);    // better
  CHECK(plateau.observe(2) == 1);    // bad, one
  CHECK(plateau.observe(2) == 0.5);  // bad, two: more than the patience
  CHECK(plateau.observe(2) == 0.5);  // cooling
  CHECK(plateau.observe(2) == 0.5);  // bad, one
  CHECK(plateau.observe(2) == 0.25);
}

TEST_CASE("plateau: an accuracy gets better upwards; progress below the threshold is none; NaN neither") {
  Plateau plateau(1, {.factor = 0.1, .patience = 0, .threshold = 0.1, .min_lr = 0.05, .higher_is_better = true});
  CHECK(plateau.observe(50) == 1);
  CHECK(plateau.observe(60) == 1);
  CHECK(plateau.observe(61) == doctest::Approx(0.1));
  CHECK(plateau.observe(0.0 / 0.0) == 0.05);
}

TEST_CASE("plateau: a restored one goes on alike") {
  Plateau a(1, {.factor = 0.5, .patience = 2}), b(1, {.factor = 0.5, .patience = 2});
  for (const double loss : {3.0, 3.0, 3.0}) a.observe(loss);
  b.restore(a.state());
  CHECK(a.observe(3) == b.observe(3));
  CHECK(a.state() == b.state());
  CHECK(a.lr() == 0.5);
}
