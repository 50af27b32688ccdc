#pragma once
// Adding to a gradient in place, for rules that can do so in the pass they make anyway.

#include <cstddef>

#include "core/tensor.hpp"

namespace gradus {

struct Node;

/// Called from node's backward rule: the sum of what other readers gave to its input i so far, if there is any and
/// nobody else sees its memory (not so while backward is recorded). Whoever claims it adds its own share in place and
/// returns the sum as that input's gradient; the engine no longer has it. Undefined otherwise: return the share alone.
Tensor claim_gradient(const Node& node, std::size_t i);

}  // namespace gradus
