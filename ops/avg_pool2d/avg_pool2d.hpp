#pragma once
// Averages over windows of each plane: x [N,C,H,W] -> y [N,C,P,Q], f32 or f64, y channels-last.
//
// With count_include_pad a window's sum is divided by the positions it has inside the padded plane, else by those
// inside the plane itself. Any number of derivatives; nothing is saved. Errors: see sliding_windows() and
// adaptive_windows() in ops/pool/windows.hpp; ValueError for a dilation.

#include "ops/pool/windows.hpp"

namespace gradus {

Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);
/// Windows chosen so that the result is [N, C, output_size].
Tensor adaptive_avg_pool2d(const Tensor& x, Pair output_size);
/// The mean of each plane: [N,C,H,W] -> [N,C,1,1].
Tensor global_avg_pool2d(const Tensor& x);

}  // namespace gradus
