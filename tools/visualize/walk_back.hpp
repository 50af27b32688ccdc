#pragma once
// A walk back over the tape with rules of one's own in place of the chain rule: deconvolution, guided backpropagation.

#include <functional>

#include "autograd/node.hpp"

namespace gradus::program {

/// What a node passes back for gy, in place of Node::backward: one entry per input, undefined where there is nothing.
using BackRule = std::function<Grads(Node& node, const Tensor& gy)>;

/// The signal that reaches `x`, a leaf, when `seed` (of y's shape) starts at y and each node between them follows
/// `rule`; signals that meet are added. Runs off the tape and leaves the graph as it was. GraphError if y does not
/// depend on x.
Tensor walk_back(const Tensor& y, const Tensor& seed, const Tensor& x, const BackRule& rule);

}  // namespace gradus::program
