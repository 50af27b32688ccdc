#pragma once
// conv_transpose2d: conv2d's gradient for its input, used as a layer (Zeiler et al. 2010, "deconvolution"): every input
// pixel adds a weighted window to the output.
//
//   y[n,k,·,·] = bias[k] + Σ_{c,p,q} x[n,c,p,q] · weight[c,k,r,s]   at row p·stride - padding + r·dilation, column
//   likewise
//
//   x       [N, C, P, Q]
//   weight  [C, K/groups, R, S]
//   bias    [K], or undefined for none
//   y       [N, K, H, W]   H = (P - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1; W likewise
//
// output_padding enlarges the result at its end: a strided conv2d maps several sizes to one, and this says which to
// return to. It must be below the stride. The rest (memory, dtypes, errors) is as in conv2d.

#include "core/tensor.hpp"
#include "ops/pair.hpp"

namespace gradus {

struct ConvTranspose2dOptions {
  Pair stride = 1;
  Pair padding = 0;
  Pair output_padding = 0;
  Pair dilation = 1;
  std::int64_t groups = 1;
};

Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTranspose2dOptions& options = {});

}  // namespace gradus
