#pragma once
// Softmax and its logarithm along one dim.

#include "core/tensor.hpp"

namespace gradus {

/// exp(x) / sum of exp(x) along `dim`, through exp(x - max), so that no finite x overflows. f32 or f64; y has x's
/// memory order. Keeps y. Differentiable any number of times. ShapeError for a dim out of range.
Tensor softmax(const Tensor& x, std::int64_t dim);
/// x - log(sum of exp(x)) along `dim`.
Tensor log_softmax(const Tensor& x, std::int64_t dim);

}  // namespace gradus
