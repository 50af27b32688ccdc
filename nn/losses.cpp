#include "nn/losses.hpp"

#include "ops/pointwise/binary.hpp"

namespace gradus {

Tensor heads_loss(const Heads& heads, const Tensor& target, const CrossEntropyOptions& options) {
  Tensor loss = cross_entropy(heads.logits, target, options);
  for (const Heads::Auxiliary& head : heads.auxiliary)
    loss = loss + cross_entropy(head.logits, target, options) * head.loss_weight;
  return loss;
}

}  // namespace gradus
