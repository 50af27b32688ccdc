#pragma once
// conv2d: the convolution of convolutional networks (a cross-correlation), forward and its two gradients.
//
//   y[n,k,p,q] = bias[k] + Σ_{r,s,c} x[n, g·C/groups + c, p·stride - padding + r·dilation, …] · weight[k,c,r,s]
//
// with g = k / (K/groups), the group of k, and x zero outside. Shapes, in logical order:
//
//   x       [N, C, H, W]
//   weight  [K, C/groups, R, S]
//   bias    [K], or undefined for none
//   y       [N, K, P, Q]   P = (H + 2 padding - dilation (R-1) - 1) / stride + 1, rounded down; Q likewise from W, S
//
// In memory results are channels-last; operands in another format are converted first. f32 or f64, one dtype for all.
// With NoGrad the CPU packs a weight once and keeps that beside it, another 1 to 4 times its bytes, until it is written
// or freed, or until a convolution with gradients enabled uses it.
// N may be 0. groups = C = K is a depthwise convolution. Differentiable any number of times.
//
// Errors. ShapeError: an operand that is not 4-D (bias: 1-D), channels that do not match or divide by groups, an empty
// window, a window larger than the padded input. ValueError: stride, dilation or groups below 1, padding below 0.
// DTypeError and DeviceError: operands that differ, or a dtype that is not f32 or f64.

#include "autograd/node.hpp"
#include "core/tensor.hpp"
#include "ops/pair.hpp"

namespace gradus {

struct Conv2dOptions {
  Pair stride = 1;
  Pair padding = 0;  // zeros on both sides
  Pair dilation = 1;
  std::int64_t groups = 1;
  /// Of y's channels: taken on the way, where the CPU's kernel can, for a batch norm in training that reads y next and
  /// then finds them (ops/channel_rows/moments.hpp).
  bool moments = false;
};

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const Conv2dOptions& options = {});

/// What may follow a convolution before its result is written.
struct Conv2dEpilogue {
  Tensor scale = {}, shift = {};  // [K], of y's dtype (f32 where that is bf16); both or neither
  Tensor residual = {};           // like y
  bool relu = false;
};

/// [relu](scale · conv2d(x, weight, bias) + shift + residual): evaluation's batch norm, residual and activation. In one
/// pass where no tape records; else by operators, one after the other, with the gradients they have.
/// Besides conv2d's, ShapeError for an operand of another shape, ValueError for scale without shift.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options,
              const Conv2dEpilogue& epilogue);

/// Whether the convolution of a recorded x can compute [relu](x · scale + shift) as it reads x: 1x1 in f32 on the CPU,
/// where the kernel that would run anyway does so.
bool conv2d_reads_affine(const Tensor& x, const Tensor& weight, const Conv2dOptions& options);
/// conv2d of a normalisation whose result is not in memory: `in` says how to compute it, `deferred` stands for it on
/// the tape (ops/batch_norm: batch_norm_deferred). Only where conv2d_reads_affine(in.x, …).
Tensor conv2d(const Tensor& deferred, const ChannelAffine& in, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options);

/// d loss / d x of a convolution whose x had `x_shape`, given gy [N, K, P, Q]: gy spread back through the weights.
Tensor conv2d_input_grad(const Tensor& gy, const Tensor& weight, const Shape& x_shape,
                         const Conv2dOptions& options = {});
/// d loss / d weight of a convolution whose weight had `weight_shape`.
Tensor conv2d_weight_grad(const Tensor& x, const Tensor& gy, const Shape& weight_shape,
                          const Conv2dOptions& options = {});

/// "stride 2, padding 1, groups 4": the options as error messages show them; dilation where it is not 1.
std::string to_string(const Conv2dOptions& options);

}  // namespace gradus
