#pragma once
// Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): keep a segment's input
// instead of everything inside it, and run the segment again in backward.

#include <functional>
#include <vector>

#include "autograd/node.hpp"

namespace gradus {

/// fn(x), off the tape; backward runs fn again, with the random numbers of the first run, and goes through it.
/// `parameters` lists every other tensor that fn reads and that needs a gradient. fn runs twice and must compute the
/// same; layers that count calls (batch norm's running statistics) ask recomputing() and leave their state alone.
Tensor recompute(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x,
                 const std::vector<Tensor>& parameters);

/// True while a segment runs for the second time on this thread.
bool recomputing();

}  // namespace gradus
