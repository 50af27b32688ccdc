#pragma once
// Batch normalisation (Ioffe and Szegedy 2015), with what usually follows it in the same pass:
//
//   y = [relu] ( (x - mean) / sqrt(var + eps) * weight + bias  [+ residual] )         per channel c = dim 1
//
// x is [N,C,H,W] or [N,C], f32 or f64; weight, bias and the running statistics are [C] of x's dtype, and each of them
// may be undefined (no scale, no shift, nothing tracked). y is channels-last.
//
// training: mean and var are x's own over N,H,W (var divides by n = N*H*W), and the running statistics follow,
// r = (1 - momentum) r + momentum s, where s for the variance divides by n - 1. While recomputing() they stay as they
// are, so that a checkpointed segment counts once. Otherwise mean and var are the running statistics, constants.
//
// Gradients for x, weight, bias and residual, and gradients of gradients. Saved: x, the statistics and, where ReLU
// follows a residual, one bit per element; without a residual ReLU's mask is computed again from x.
//
// Errors: ShapeError for a rank other than 2 or 4, an operand that is not [C] or a residual that is not like x, and in
// training for fewer than 2 values per channel (their variance is nothing); ValueError where eps <= 0, momentum is not
// in [0, 1], or the running statistics are missing outside training.

#include "autograd/node.hpp"
#include "core/tensor.hpp"

namespace gradus {

struct BatchNormOptions {
  bool training = false;
  double momentum = 0.1;
  double eps = 1e-5;
  bool relu = false;  // y = max(y, 0) at the end
};

/// `residual` is like x: added before the ReLU.
Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight = {},
                  const Tensor& bias = {}, const BatchNormOptions& options = {}, const Tensor& residual = {});

/// A batch norm whose result is left to its only reader, which computes it as it reads x: on the CPU, three of the four
/// times that such a tensor passes through memory.
struct DeferredBatchNorm {
  Tensor y;            // the result on the tape: its shape and its gradient, but no values (all of it is one 0)
  ChannelAffine from;  // how the reader computes them
};
/// batch_norm(x, …) left to the reader. On the CPU, without residual.
DeferredBatchNorm batch_norm_deferred(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                                      const Tensor& weight, const Tensor& bias, const BatchNormOptions& options);

}  // namespace gradus
