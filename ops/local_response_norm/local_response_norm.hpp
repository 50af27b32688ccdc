#pragma once
// Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3), in PyTorch's convention:
//
//   y_c = x_c / d_c^beta,   d_c = k + alpha / size * sum of x_j^2 over channels j = c - size/2 … c + (size-1)/2
//
// (integer division; channels outside 0 … C-1 count as 0). The paper's AlexNet is size 5, k 2, beta 0.75 and, since it
// does not divide by the size, alpha 5e-4.
//
// x is [N,C,H,W], f32 or f64; y is channels-last. Any number of derivatives. Saved: x; backward computes d again.
// Errors: ShapeError unless the rank is 4; ValueError unless size >= 1, alpha >= 0 and k > 0.

#include "core/tensor.hpp"

namespace gradus {

struct LocalResponseNormOptions {
  std::int64_t size = 5;
  double alpha = 1e-4;
  double beta = 0.75;
  double k = 1;
};

Tensor local_response_norm(const Tensor& x, const LocalResponseNormOptions& options = {});

}  // namespace gradus
