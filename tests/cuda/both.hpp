#pragma once
// One computation on the CPU and on cuda:0, compared: results, and gradients of its inputs.

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "autograd/engine.hpp"
#include "core/number.hpp"
#include "core/random.hpp"
#include "ops/candidates.hpp"
#include "ops/view/view.hpp"

namespace gradus::test {

inline constexpr Device kCuda{DeviceType::cuda, 0};

/// The largest difference, relative to the largest |reference| (absolute where that is below 1e-6); infinite where
/// shapes differ or a value is not finite.
inline double difference(const Tensor& y, const Tensor& reference) {
  if (!y.defined() || !reference.defined() || y.shape() != reference.shape()) return INFINITY;
  const auto u = y.to_vector<double>(), v = reference.to_vector<double>();
  double largest = 1e-6, worst = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    if (!std::isfinite(u[i])) return INFINITY;
    largest = std::max(largest, std::abs(v[i]));
    worst = std::max(worst, std::abs(u[i] - v[i]));
  }
  return worst / largest;
}

using Inputs = std::vector<Tensor>;
/// Results of floating dtype get gradients; others are compared as they are.
using Computation = std::function<std::vector<Tensor>(const Inputs&)>;

/// fn's results and, for a seed that depends on the shapes alone, the gradients of all floating inputs, on the CPU.
/// With bf16_seeds the seeds are numbers that bf16 holds exactly, so that a computation in bf16 can be given the same.
inline std::vector<Tensor> run_on(Device device, const Inputs& inputs, const Computation& fn, bool bf16_seeds = false) {
  Inputs there;
  for (const Tensor& x : inputs) {
    Tensor y = x.defined() ? to(x.detach(), device) : x;
    if (y.defined() && y.same(x)) y = y.detach();
    if (y.defined() && is_floating(y.dtype())) set_requires_grad(y);
    there.push_back(y);
  }
  std::vector<Tensor> results;
  for (const Tensor& y : fn(there)) {
    results.push_back(to(y.detach(), kCpu));
    if (!y.requires_grad()) continue;
    Generator generator{5, static_cast<std::uint64_t>(results.size())};
    Tensor seed = empty(y.shape(), {.dtype = compute_dtype(y.dtype()), .format = y.format()});
    uniform_(seed, -1, 1, generator);
    if (bf16_seeds) seed = to(to(seed, DType::bf16), y.dtype());
    backward(y, to(seed, device), {.retain_graph = true});
  }
  for (const Tensor& x : there)
    if (x.defined() && is_floating(x.dtype())) {
      const Tensor g = grad_of(x);
      results.push_back(g.defined() ? to(g.detach(), kCpu) : Tensor());
    }
  return results;
}

inline void check_same(const std::vector<Tensor>& got, const std::vector<Tensor>& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i].defined() == expected[i].defined());
    if (got[i].defined() && expected[i].defined()) CHECK(difference(got[i], expected[i]) <= tolerance);
  }
}

/// A kernel's candidates by name, to be forced one after the other.
struct Ladder {
  std::string kernel;
  std::vector<std::string> rungs;
  template <class Problem>
  Ladder(const Candidates<Problem>& list) : kernel(list.kernel()) {  // NOLINT: a list is a ladder
    for (const auto& candidate : list.all()) rungs.push_back(candidate.name);
  }
};

/// fn on cuda:0 as it chooses, and with every rung of the ladders forced, against the CPU.
inline void check_both(const Inputs& inputs, const Computation& fn, double tolerance,
                       const std::vector<Ladder>& ladders = {}) {
  const auto expected = run_on(kCpu, inputs, fn);
  check_same(run_on(kCuda, inputs, fn), expected, tolerance);
  for (const Ladder& ladder : ladders)
    for (const std::string& rung : ladder.rungs) {
      CAPTURE(ladder.kernel);
      CAPTURE(rung);
      const ForceKernel forced(ladder.kernel, rung);
      check_same(run_on(kCuda, inputs, fn), expected, tolerance);
    }
}

}  // namespace gradus::test
