#pragma once
// Kernels of interpolate: along each axis an output position is a weighted sum of two input positions.

#include <vector>

#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// What one output row (column) reads: input position `low` with weight 1 - t and `high` with weight t.
struct Tap {
  std::int64_t low, high;
  double t;
};

/// `out` is the resized side, `in` the side it comes from. forward writes out; backward, where they hold gradients,
/// adds every element of out to the places of in that it read, in the order of out's rows and columns.
struct InterpolateProblem {
  DType dtype;
  std::int64_t n, c;
  Strides in_strides, out_strides;
  std::vector<Tap> rows, columns;  // one per row (column) of out
  void* in;
  void* out;
};

namespace cpu {
const Candidates<InterpolateProblem>& interpolate();
const Candidates<InterpolateProblem>& interpolate_backward();  // `in` is zero beforehand
}  // namespace cpu
namespace cuda {
const Candidates<InterpolateProblem>& interpolate();
const Candidates<InterpolateProblem>& interpolate_backward();  // `in` is zero beforehand
}  // namespace cuda

}  // namespace gradus
