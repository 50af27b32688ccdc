#pragma once
// The optimisers' inner loops, compiled per instruction set (optim_simd.cpp). All arrays of a run have `n` elements of
// one type, f32 or f64, and do not overlap. Coefficients come as double and are rounded to the type once per run.

#include <cstdint>
#include <vector>

#include "core/dtype.hpp"
#include "core/isa.hpp"

namespace gradus::optim {

/// A stretch of one parameter: weight, gradient and state, in the order the optimiser names its state.
struct Run {
  void* w;
  const void* g;
  void* state[3];
  std::int64_t n;
};

/// d = g_scale g + decay w;  v = momentum v + gradient d;  w = keep w + by_gradient d + by_velocity v.
/// Every form of SGD is a choice of these numbers (sgd.cpp). Without velocity state[0] is null and v = 0.
struct SgdCoefficients {
  double g_scale, decay, momentum, gradient, keep, by_gradient, by_velocity;
};

/// d = g + decay w;  s = alpha s + (1 - alpha) d^2;  m likewise of d if centered (else 0);
/// r = d / (sqrt(s - m^2) + eps), or with eps inside the root;  b = momentum b + inner_lr r;  w -= outer_lr b.
/// state: s, b (null without momentum), m (null unless centered).
struct RmsPropCoefficients {
  double decay, alpha, eps, momentum, inner_lr, outer_lr;
  bool eps_inside;
};

/// d = g + decay w;  m = m + (1 - beta1)(d - m);  v = beta2 v + (1 - beta2) d^2;  u = max(u, v) for amsgrad (else v);
/// w = keep w - lr m / (sqrt(u) * scale + eps).  state: m, v, u (null unless amsgrad).
struct AdamCoefficients {
  double decay, keep, beta1, beta2, lr, scale, eps;
};

/// d = g + decay w;  s += d^2;  w -= lr d / (sqrt(s) + eps).  state: s.
struct AdagradCoefficients {
  double decay, lr, eps;
};

/// One function per element type: [0] f32, [1] f64.
struct OptimSimd {
  void (*sgd[2])(const Run&, const SgdCoefficients&);
  void (*rmsprop[2])(const Run&, const RmsPropCoefficients&);
  void (*adam[2])(const Run&, const AdamCoefficients&);
  void (*adagrad[2])(const Run&, const AdagradCoefficients&);
  void (*lerp[2])(void* y, const void* x, double amount, std::int64_t n);  // y += amount (x - y)
  void (*scale[2])(void* y, double factor, std::int64_t n);                // y *= factor
  void (*clamp[2])(void* y, double bound, std::int64_t n);                 // y to [-bound, bound]; NaN stays
  double (*sum_of_squares[2])(const void* x, std::int64_t n);              // in double, in a fixed order
};

namespace cuda {
// Several tensors to a launch; of_run[i] belongs to runs[i].
void update(DType dtype, const std::vector<Run>& runs, const std::vector<SgdCoefficients>& of_run);
void update(DType dtype, const std::vector<Run>& runs, const std::vector<RmsPropCoefficients>& of_run);
void update(DType dtype, const std::vector<Run>& runs, const std::vector<AdamCoefficients>& of_run);
void update(DType dtype, const std::vector<Run>& runs, const std::vector<AdagradCoefficients>& of_run);
}  // namespace cuda

}  // namespace gradus::optim

namespace gradus {
using optim::OptimSimd;
GRADUS_ISA_TABLE(OptimSimd, optim_simd)
}  // namespace gradus
