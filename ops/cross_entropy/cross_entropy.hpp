#pragma once
// Cross-entropy of logits, and the negative log-likelihood. Names and conventions are PyTorch's.

#include "core/tensor.hpp"
#include "ops/cross_entropy/reduction.hpp"

namespace gradus {

struct CrossEntropyOptions {
  double label_smoothing = 0;        // e in [0, 1]: mixes with the uniform distribution over all classes
  std::int64_t ignore_index = -100;  // this label counts neither in the sum nor in the divisor
  Reduction reduction = Reduction::mean;
  Tensor weight = {};  // [C], a weight per class w; undefined: 1
};

/// -sum over c of q_c log softmax(x)_c, at each position, fused with the softmax.
/// x [N, C, ...] (or [C]), f32, f64 or, on CUDA, bf16, whose loss, weight and probabilities are f32. The target is one
/// of
///   labels        i64 [N, ...] (or a scalar): q = (1-e) w_t [c = t] + (e/C) w_c; the mean divides by the sum of w_t
///                 over the labels that are not ignored (NaN if there is none)
///   probabilities of x's shape and dtype p: q = w_c ((1-e) p_c + e/C); the mean divides by the number of positions
/// Result: [N, ...] for Reduction::none, else one number. Keeps x, and one f64 per position. Differentiable any number
/// of times in x, and in probabilities. Errors: ValueError for a label that is no class, with the label, its index and
/// the number of classes; ShapeError, DTypeError, DeviceError for operands that do not fit; ValueError for a
/// label_smoothing outside [0, 1].
Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& options = {});

struct NllLossOptions {
  std::int64_t ignore_index = -100;
  Reduction reduction = Reduction::mean;
  Tensor weight = {};
};
/// -w_t x_t at each position, for x that is a log-probability already: cross_entropy(x) = nll_loss(log_softmax(x)).
Tensor nll_loss(const Tensor& x, const Tensor& target, const NllLossOptions& options = {});

}  // namespace gradus
