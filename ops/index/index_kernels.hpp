#pragma once
// Kernels of gather and scatter_add. A lane is a position of all dims but the indexed one.

#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// gather: small[lane, i] = large[lane, index[lane, i]], i < count; scatter_add: large[lane, index[lane, i]] +=
/// small[lane, i], i in order.
struct IndexProblem {
  DType dtype;
  Shape lanes;
  Strides large_strides, small_strides, index_strides;  // over the lanes
  std::int64_t count, large_step, small_step, index_step;
  void* large;
  void* small;
  const std::int64_t* index;
};

namespace cpu {
const Candidates<IndexProblem>& gather();
const Candidates<IndexProblem>& scatter_add();
}  // namespace cpu
namespace cuda {
const Candidates<IndexProblem>& gather();
const Candidates<IndexProblem>& scatter_add();
}  // namespace cuda

}  // namespace gradus
