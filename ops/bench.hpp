#pragma once
// Benchmarks of the operators: what to time, and how much work it is. `gradus bench op` runs them.

#include <functional>
#include <string>
#include <vector>

namespace gradus {

struct BenchCase {
  std::string op;     // "conv2d.forward"
  std::string label;  // the problem: "3x3 64->64 @56, batch 8"
  double flops = 0;   // floating-point operations of one run
  double bytes = 0;   // least traffic with memory: every operand once
  std::function<void()> run;
};
using BenchList = std::vector<BenchCase>;

/// Every operator's cases. Operands are made here: an `only` that is no part of an operator's name skips its cases.
BenchList bench_cases(const std::string& only = "");

}  // namespace gradus
