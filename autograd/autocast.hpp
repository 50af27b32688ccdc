#pragma once
// Mixed precision: while an Autocast lives, matrix products and convolutions on CUDA devices run in bf16.
//
//   Tensor loss;
//   {
//     const Autocast on;                       // the forward pass and the loss
//     loss = cross_entropy(net(x), labels);    // f32
//   }
//   backward(loss);                            // in the dtypes of the forward pass, inside the scope or outside
//   sgd.step();                                // weights and their gradients are f32
//
// Which operators are cast is said in ops/autocast.hpp. Here is what the tape must know: backward runs with every scope
// off, for the forward pass has decided; recompute() runs forward again in the scope it first ran in.

#include "core/tensor.hpp"

namespace gradus {

/// Operators on CUDA tensors of this thread are cast to `dtype` until destroyed: bf16, or f32, which switches an outer
/// scope off. Another dtype is a ValueError. Tensors on the CPU are left alone, so a loop that runs on both devices is
/// written once. Scopes nest; each keeps the casts of leaves (weights) it has made, so that a weight is cast once.
class Autocast {
 public:
  explicit Autocast(DType dtype = DType::bf16);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  struct Scope;
  Scope* scope_;
  friend DType autocast_dtype();
  friend Tensor kept_cast(const Tensor& leaf);
  friend void keep_cast(const Tensor& leaf, const Tensor& cast);
};

/// bf16 within a scope, f32 outside.
DType autocast_dtype();

/// The cast of this leaf that the scope keeps: undefined if there is none, or none that may stand for it (the leaf was
/// written since, the cast's way back was freed by backward, or was not recorded and now is wanted).
Tensor kept_cast(const Tensor& leaf);
void keep_cast(const Tensor& leaf, const Tensor& cast);

}  // namespace gradus
