#pragma once
// Kernels of dropout. The candidates' traffic is one read and one write; drawing the numbers costs about as much.

#include <cstdint>

#include "core/isa.hpp"
#include "core/philox.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// y[i] = x[i] * scale where the word of i's group is at least `threshold`, else 0. A group is `group` elements.
template <class T>
struct DropoutProblem {
  Philox philox;
  std::uint32_t threshold;
  double scale;
  std::int64_t elements, group;
  const T* x;
  T* y;
};
template <class T>
const Candidates<DropoutProblem<T>>& dropout_candidates();
namespace cuda {
template <class T>
const Candidates<DropoutProblem<T>>& dropout();
}

struct DropoutSimd {
  /// Elements begin … end-1, begin a multiple of 4, one word each.
  void (*f32)(const DropoutProblem<float>& p, std::int64_t begin, std::int64_t end);
  void (*f64)(const DropoutProblem<double>& p, std::int64_t begin, std::int64_t end);
};
GRADUS_ISA_TABLE(DropoutSimd, dropout_simd)

}  // namespace gradus
