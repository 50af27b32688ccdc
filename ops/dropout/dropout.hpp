#pragma once
// Dropout (Srivastava et al. 2014), inverted: in training each element becomes 0 with probability p and is divided by
// 1 - p otherwise; outside training, and for p = 0, y is x itself.
//
// Whether an element falls is a function of the generator's next stream and of the element's place alone: word i of the
// Philox stream decides element i, counted in the order N,H,W,C for rank 4 and in logical order else, whatever x's
// layout. Backward draws the same numbers again; nothing is saved. Any number of derivatives.
//
// x is f32 or f64 of any shape; y is channels-last for rank 4. ValueError unless 0 <= p < 1.

#include "core/random.hpp"
#include "core/tensor.hpp"

namespace gradus {

Tensor dropout(const Tensor& x, double p, bool training, Generator& generator = default_generator());

/// Whole samples (dim 0) fall together, one word of the stream each: stochastic depth (Huang et al. 2016) in the form
/// that divides the survivors by 1 - p in training, so that nothing is scaled afterwards.
Tensor drop_path(const Tensor& x, double p, bool training, Generator& generator = default_generator());

}  // namespace gradus
