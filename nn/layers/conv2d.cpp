#include "nn/layers/conv2d.hpp"

#include "nn/init.hpp"
#include "ops/conv_transpose2d/conv_transpose2d.hpp"

namespace gradus {
namespace {

void check_layer(const char* layer, std::int64_t in, std::int64_t out, Pair kernel, std::int64_t groups) {
  check(in > 0 && out > 0 && kernel.h > 0 && kernel.w > 0,
        "{}: channels and kernel are positive, got {} -> {}, kernel {}", layer, in, out, to_string(kernel));
  check(groups > 0 && in % groups == 0 && out % groups == 0, "{}: groups divide the channels, got {} -> {}, groups {}",
        layer, in, out, groups);
}

Tensor new_weight(const Shape& shape) {
  return empty(shape, {.device = construction_device(), .format = Format::channels_last});
}
Parameter new_bias(bool wanted, std::int64_t out) {
  return wanted ? Parameter(empty({out}, {.device = construction_device()})) : Parameter();
}

template <class Config>
std::string describe_options(std::int64_t in, std::int64_t out, const Config& c) {
  std::string text = fmt::format("{}, {}, kernel {}", in, out, to_string(c.kernel));
  const auto add = [&](const char* name, Pair value, Pair usual) {
    if (value != usual) text += fmt::format(", {} {}", name, to_string(value));
  };
  add("stride", c.stride, 1);
  add("padding", c.padding, 0);
  add("dilation", c.dilation, 1);
  add("groups", c.groups, 1);
  if (!c.bias) text += ", no bias";
  return text;
}

}  // namespace

Conv2d::Conv2d(std::int64_t in, std::int64_t out, const Conv2dConfig& config) : config_(config) {
  check_layer("Conv2d", in, out, config.kernel, config.groups);
  weight = Parameter(new_weight({out, in / config.groups, config.kernel.h, config.kernel.w}));
  bias = new_bias(config.bias, out);
  init::framework_default(weight, bias);
}

Conv2dOptions Conv2d::op_options(bool moments) const {
  return {.stride = config_.stride,
          .padding = config_.padding,
          .dilation = config_.dilation,
          .groups = config_.groups,
          .moments = moments};
}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight, bias, op_options()); }

Tensor Conv2d::with_moments(const Tensor& x) {
  return observed(x, [&] { return conv2d(x, weight, bias, op_options(true)); });
}

Tensor Conv2d::with(const Tensor& x, const Conv2dEpilogue& epilogue) {
  return observed(x, [&] { return conv2d(x, weight, bias, op_options(), epilogue); });
}

Tensor Conv2d::with(const DeferredBatchNorm& x, bool moments) {
  return observed(x.y, [&] { return conv2d(x.y, x.from, weight, bias, op_options(moments)); });
}
bool Conv2d::reads_affine(const Tensor& x) const { return conv2d_reads_affine(x, weight, op_options()); }

std::string Conv2d::options() const {
  return describe_options(weight.size(1) * config_.groups, weight.size(0), config_);
}

std::int64_t Conv2d::multiply_adds(const Tensor& /*x*/, const Tensor& y) const {
  return y.numel() * (weight.numel() / weight.size(0));
}

ConvTranspose2d::ConvTranspose2d(std::int64_t in, std::int64_t out, const ConvTranspose2dConfig& config)
    : config_(config) {
  check_layer("ConvTranspose2d", in, out, config.kernel, config.groups);
  weight = Parameter(new_weight({in, out / config.groups, config.kernel.h, config.kernel.w}));
  bias = new_bias(config.bias, out);
  init::framework_default(weight, bias);
}

Tensor ConvTranspose2d::forward(const Tensor& x) {
  return conv_transpose2d(x, weight, bias,
                          {.stride = config_.stride,
                           .padding = config_.padding,
                           .output_padding = config_.output_padding,
                           .dilation = config_.dilation,
                           .groups = config_.groups});
}

std::string ConvTranspose2d::options() const {
  return describe_options(weight.size(0), weight.size(1) * config_.groups, config_);
}

std::int64_t ConvTranspose2d::multiply_adds(const Tensor& x, const Tensor& /*y*/) const {
  return x.numel() * (weight.numel() / weight.size(0));
}

}  // namespace gradus
