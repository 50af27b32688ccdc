#pragma once
// Benchmarks of the operators: what to time, and how much work it is. `gradus bench op` runs them, and `gradus bench
// kernel` compares the candidates of one kernel.

#include <functional>
#include <string>
#include <vector>

#include "core/tensor.hpp"

namespace gradus {

struct BenchCase {
  std::string op;     // "conv2d.forward"
  std::string label;  // the problem: "3x3 64->64 @56, batch 8"
  double flops = 0;   // floating-point operations of one run
  double bytes = 0;   // least traffic with memory: every operand once
  std::function<void()> run;
};
using BenchList = std::vector<BenchCase>;

/// One kernel on one problem.
struct KernelCase {
  std::string kernel;                   // "conv2d.forward"
  double flops = 0;                     // floating-point operations of one run, as the definition counts them
  double bytes = 0;                     // least traffic with memory: every operand once
  std::vector<std::string> candidates;  // those that support the problem, best first; the last is the reference
  std::function<Tensor()> run;          // by the candidate that is forced
};

/// Every operator's cases. Operands are made here: an `only` that is no part of an operator's name skips its cases.
BenchList bench_cases(const std::string& only = "");

}  // namespace gradus
