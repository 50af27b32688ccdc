#include "ops/conv_transpose2d/conv_transpose2d.hpp"

#include "ops/autocast.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

std::string shown(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvTranspose2dOptions& o) {
  return describe({{"x", &x}, {"weight", &weight}, {"bias", &bias}}) + "     " +
         to_string(Conv2dOptions{o.stride, o.padding, o.dilation, o.groups}) + ", output_padding " +
         to_string(o.output_padding);
}

std::int64_t output_size(std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t padding,
                         std::int64_t output_padding, std::int64_t dilation) {
  return (size - 1) * stride - 2 * padding + dilation * (window - 1) + output_padding + 1;
}

}  // namespace

Tensor conv_transpose2d(const Tensor& x_any, const Tensor& weight_any, const Tensor& bias_any,
                        const ConvTranspose2dOptions& o) {
  const char* op = "conv_transpose2d";
  const Tensor x = lowered(x_any), weight = lowered(weight_any), bias = lowered(bias_any);
  check_same_device(op, {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  check_same_dtype(op, {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  const auto operands = [&] { return shown(x, weight, bias, o); };
  if (x.rank() != 4 || weight.rank() != 4)
    fail<ShapeError>("{}: x [N,C,P,Q] and weight [C,K/groups,R,S] have 4 dimensions\n{}", op, operands());
  if (o.stride.h < 1 || o.stride.w < 1)
    fail<ValueError>("{}: stride is at least 1, got {}\n{}", op, to_string(o.stride), operands());
  if (o.padding.h < 0 || o.padding.w < 0)
    fail<ValueError>("{}: padding is at least 0, got {}\n{}", op, to_string(o.padding), operands());
  if (o.dilation.h < 1 || o.dilation.w < 1)
    fail<ValueError>("{}: dilation is at least 1, got {}\n{}", op, to_string(o.dilation), operands());
  if (o.groups < 1) fail<ValueError>("{}: groups is at least 1, got {}\n{}", op, o.groups, operands());
  const Pair extra = o.output_padding;
  if (extra.h < 0 || extra.w < 0 || extra.h >= o.stride.h || extra.w >= o.stride.w)
    fail<ValueError>("{}: output_padding is at least 0 and below the stride, got {}\n{}", op, to_string(extra),
                     operands());
  if (weight.size(0) != x.size(1))
    fail<ShapeError>("{}: weight reads {} input channels, x has {}\n{}", op, weight.size(0), x.size(1), operands());
  if (x.size(1) % o.groups != 0)
    fail<ShapeError>("{}: {} input channels do not divide into {} groups\n{}", op, x.size(1), o.groups, operands());
  if (weight.size(2) < 1 || weight.size(3) < 1) fail<ShapeError>("{}: the window is empty\n{}", op, operands());
  if (x.size(2) < 1 || x.size(3) < 1) fail<ShapeError>("{}: x has no pixels\n{}", op, operands());
  const std::int64_t K = weight.size(1) * o.groups;
  if (bias.defined() && bias.shape() != Shape{K})
    fail<ShapeError>("{}: bias is [{}], one for each output channel\n{}", op, K, operands());
  const std::int64_t H = output_size(x.size(2), weight.size(2), o.stride.h, o.padding.h, extra.h, o.dilation.h);
  const std::int64_t W = output_size(x.size(3), weight.size(3), o.stride.w, o.padding.w, extra.w, o.dilation.w);
  if (H < 1 || W < 1) fail<ShapeError>("{}: padding leaves an output of {}x{}\n{}", op, H, W, operands());

  // The convolution this reverses reads y and writes x: its result is exactly x's size, because output_padding is less
  // than a step of the window.
  const Tensor y = conv2d_input_grad(x, weight, {x.size(0), K, H, W}, {o.stride, o.padding, o.dilation, o.groups});
  return bias.defined() ? y + reshape(bias, {1, K, 1, 1}) : y;
}

}  // namespace gradus
