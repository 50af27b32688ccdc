#pragma once
// What Autocast (autograd/autocast.hpp) does to an operator's operands: f32 and bf16 on CUDA devices; f64, integers and
// everything on the CPU are left alone. Casts are recorded, so gradients come back in the dtype of what was cast.
//
//   to bf16   conv2d, conv_transpose2d, linear, matmul: x, weight and bias
//   to f32    softmax, log_softmax, nll_loss, mse_loss, var. cross_entropy reads bf16 logits as they are, in f32
//   to f32    where operands are of both: the pointwise operators of two tensors, cat, stack
//   to x's    batch_norm's and se_scale's other operands of x's kind (residual, gates), ConcatBuffer's appended parts
//   as it is  everything else keeps the dtype it is given and computes in f32: batch_norm (whose statistics, weight and
//             bias are f32), pools, ReLU and the other pointwise functions, dropout, local_response_norm, sums, views

#include <vector>

#include "core/tensor.hpp"

namespace gradus {

/// For an operator that runs in bf16. An undefined tensor stays undefined. A leaf is cast once in a scope.
Tensor lowered(const Tensor& x);
/// For an operator that runs in f32.
Tensor raised(const Tensor& x);
/// For an operator whose operands need one dtype: f32 if they have both.
void promote(Tensor& a, Tensor& b);
std::vector<Tensor> promoted(const std::vector<Tensor>& operands);
/// For an operand that follows x.
Tensor like_operand(const Tensor& operand, const Tensor& x);

}  // namespace gradus
