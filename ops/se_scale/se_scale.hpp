#pragma once
// The end of a squeeze-and-excitation block (Hu et al. 2018, figure 3) in one pass:
//
//   y = [relu] ( x * s  [+ residual] )
//
// x [N,C,H,W], s [N,C,1,1] (the sigmoid's result), residual like x; f32 or f64 throughout; y is channels-last.
//
// Any number of derivatives, for x, s and residual. Saved: x, s, and where ReLU follows a residual one bit per element.
// Errors: ShapeError for shapes other than these.

#include "core/tensor.hpp"

namespace gradus {

struct SeScaleOptions {
  bool relu = false;  // y = max(y, 0) at the end
};

Tensor se_scale(const Tensor& x, const Tensor& s, const SeScaleOptions& options = {}, const Tensor& residual = {});

}  // namespace gradus
