#include "nn/layers/pool.hpp"

#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"

namespace gradus {
namespace {

Pool2dOptions to_options(Pair kernel, const Pool2dConfig& c) {
  return {.kernel = kernel,
          .stride = c.stride,
          .padding = c.padding,
          .ceil_mode = c.ceil_mode,
          .count_include_pad = c.count_include_pad};
}

std::string describe_options(Pair kernel, const Pool2dConfig& c) {
  std::string text = "kernel " + to_string(kernel);
  if (c.stride != Pair(0)) text += ", stride " + to_string(c.stride);
  if (c.padding != Pair(0)) text += ", padding " + to_string(c.padding);
  if (c.ceil_mode) text += ", ceil_mode";
  if (!c.count_include_pad) text += ", without padding in the count";
  return text;
}

}  // namespace

MaxPool2d::MaxPool2d(Pair kernel, const Pool2dConfig& config) : kernel_(kernel), config_(config) {}
Tensor MaxPool2d::forward(const Tensor& x) { return max_pool2d(x, to_options(kernel_, config_)); }
std::string MaxPool2d::options() const { return describe_options(kernel_, config_); }

AvgPool2d::AvgPool2d(Pair kernel, const Pool2dConfig& config) : kernel_(kernel), config_(config) {}
Tensor AvgPool2d::forward(const Tensor& x) { return avg_pool2d(x, to_options(kernel_, config_)); }
std::string AvgPool2d::options() const { return describe_options(kernel_, config_); }

Tensor AdaptiveAvgPool2d::forward(const Tensor& x) { return adaptive_avg_pool2d(x, output_); }
std::string AdaptiveAvgPool2d::options() const { return to_string(output_); }

Tensor AdaptiveMaxPool2d::forward(const Tensor& x) { return adaptive_max_pool2d(x, output_); }
std::string AdaptiveMaxPool2d::options() const { return to_string(output_); }

}  // namespace gradus
