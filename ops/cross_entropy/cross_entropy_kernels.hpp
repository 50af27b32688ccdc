#pragma once
// Kernels of cross_entropy. A position is a place of x but for the class; its row is the logits there.

#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// What every kernel here reads.
struct CrossEntropyTarget {
  std::int64_t classes;
  double smoothing;
  std::int64_t ignore_index;
  const void* weight;          // [classes], compute_dtype() of x's; null: 1
  const std::int64_t* labels;  // null: probabilities
  const void* probabilities;   // compute_dtype() of x's
  Strides strides;             // of the target over the positions
  std::int64_t step;           // of the probabilities along the classes
};

/// loss = -sum q log softmax(x);  log_total = log sum exp(x), for backward.
struct CrossEntropyProblem {
  DType dtype;  // of x; the loss is compute_dtype() of it
  Shape positions;
  Strides x_strides, dense;  // dense: of loss and log_total
  std::int64_t x_step;
  const void* x;
  CrossEntropyTarget target;
  void* loss;
  double* log_total;
};

/// gx = scale * gy * (sum(q) softmax(x) - q).
struct CrossEntropyGradProblem {
  DType dtype;  // of x and gx; gy is compute_dtype() of it
  Shape positions;
  Strides x_strides, gx_strides, gy_strides, dense;
  std::int64_t x_step, gx_step;
  const void* x;
  CrossEntropyTarget target;
  const double* log_total;
  const void* gy;
  double scale;
  void* gx;
};

/// q itself, in full.
struct CrossEntropyWeightsProblem {
  DType dtype;
  Shape positions;
  Strides q_strides;
  std::int64_t q_step;
  CrossEntropyTarget target;
  void* q;
};

namespace cpu {
const Candidates<CrossEntropyProblem>& cross_entropy();
const Candidates<CrossEntropyGradProblem>& cross_entropy_backward();
void cross_entropy_weights(const CrossEntropyWeightsProblem&);
}  // namespace cpu
namespace cuda {
const Candidates<CrossEntropyProblem>& cross_entropy();
const Candidates<CrossEntropyGradProblem>& cross_entropy_backward();
void cross_entropy_weights(const CrossEntropyWeightsProblem&);
}  // namespace cuda

}  // namespace gradus
