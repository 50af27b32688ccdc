#pragma once
// The engine: walks the tape from newest to oldest and applies the chain rule.

#include "autograd/node.hpp"

namespace gradus {

struct BackwardOptions {
  bool retain_graph = false;  // keep what nodes saved, so that backward can run again
  bool create_graph = false;  // record backward itself, for gradients of gradients (implies retain_graph)
};

/// d loss / d leaf for every leaf below `loss`, added to what the leaf's grad_of() holds. `seed` is d L / d loss of the
/// loss's shape; it may be left out if the loss is one number. GraphError if the loss has no history.
/// With create_graph a leaf's grad has a history that leads back to the leaf, a cycle: break it with set_grad(leaf, {})
/// when done, or use grad(), which stores nothing in leaves.
void backward(const Tensor& loss, const Tensor& seed = {}, const BackwardOptions& options = {});

struct GradOptions {
  std::vector<Tensor> seeds = {};  // one per output; may be left out where outputs are single numbers
  bool retain_graph = false;
  bool create_graph = false;
  bool allow_unused = false;  // an input no output depends on: undefined instead of GraphError
  bool hooks = true;          // run the inputs' own hooks (recompute leaves them to the outer backward)
};

/// The gradients of sum(seed * output) over all outputs with respect to `inputs` (leaves or not), as new tensors; no
/// leaf's grad is touched, and only the part of the graph that leads to `inputs` runs.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const GradOptions& options = {});

}  // namespace gradus
