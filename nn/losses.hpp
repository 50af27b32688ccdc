#pragma once
// Losses of whole networks. The losses of tensors are operators: cross_entropy, nll_loss, mse_loss in ops/.

#include "nn/module.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"

namespace gradus {

/// The cross-entropy of the logits plus, for each auxiliary head, its weight times its own (Szegedy et al. 2014,
/// section 5). `target` is labels or distributions, as for cross_entropy().
Tensor heads_loss(const Heads& heads, const Tensor& target, const CrossEntropyOptions& options = {});

}  // namespace gradus
