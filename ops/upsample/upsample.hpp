#pragma once
// Resizing the planes of [N,C,H,W] to another size, larger or smaller.

#include <optional>

#include "core/tensor.hpp"
#include "ops/pair.hpp"

namespace gradus {

enum class Interpolation { nearest, bilinear };

/// Exactly one of size and scale_factor is given.
struct InterpolateOptions {
  std::optional<Pair> size = {};            // of the result, {height, width}
  std::optional<double> scale_factor = {};  // the result's size is floor(H * factor), floor(W * factor)
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false;  // bilinear: corner pixels' centres coincide, instead of their outer corners
};

/// x [N,C,H,W] -> [N,C,P,Q] by PyTorch's conventions. With s = H/P (1/scale_factor where that is given), row p reads
///   nearest                    row floor(p s)
///   bilinear                   rows around (p + 1/2) s - 1/2, not below 0
///   bilinear, align_corners    rows around p (H-1)/(P-1), or 0 if P = 1
/// and columns alike. f32 or f64 (the source position is computed in that dtype); y is channels-last where x is.
/// Linear, saves nothing, any number of derivatives; backward adds in a fixed order. Errors: ShapeError unless x is 4-D
/// with a plane; ValueError for a size below 1, both or neither of size and scale_factor, or align_corners with
/// nearest.
Tensor interpolate(const Tensor& x, const InterpolateOptions& options);

}  // namespace gradus
