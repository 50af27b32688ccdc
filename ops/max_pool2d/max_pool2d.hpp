#pragma once
// Maxima over windows of each plane: x [N,C,H,W] -> y [N,C,P,Q], f32 or f64, y channels-last. Padding is minus
// infinity; of equal values the first in row order counts; a NaN in the window is the maximum.
//
// Any number of derivatives. Saved: for each y its position in the window, one byte (eight for windows of more than 256
// positions). Errors: see sliding_windows() and adaptive_windows() in ops/pool/windows.hpp.

#include <utility>

#include "ops/pool/windows.hpp"

namespace gradus {

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options);
/// Also where each maximum lies: i64 [N,C,P,Q], h * W + w in the unpadded plane (-1 for a window that meets no element,
/// which only a dilated one can). The form that max_unpool2d takes.
std::pair<Tensor, Tensor> max_pool2d_with_indices(const Tensor& x, const Pool2dOptions& options);

/// Windows chosen so that the result is [N, C, output_size].
Tensor adaptive_max_pool2d(const Tensor& x, Pair output_size);
std::pair<Tensor, Tensor> adaptive_max_pool2d_with_indices(const Tensor& x, Pair output_size);

}  // namespace gradus
