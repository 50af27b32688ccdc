#pragma once
// Pooling layers. Windows as PyTorch's: max pooling pads with minus infinity; ceil_mode keeps a last window that starts
// inside the input or its left padding.

#include "nn/layers/conv2d.hpp"

namespace gradus {

struct Pool2dConfig {
  Pair stride = 0;  // 0: the kernel's size
  Pair padding = 0;
  bool ceil_mode = false;
  bool count_include_pad = true;  // average pooling: divide by the window's size within the padded input
};

class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(Pair kernel, const Pool2dConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "MaxPool2d"; }
  std::string options() const override;

 private:
  Pair kernel_;
  Pool2dConfig config_;
};

class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(Pair kernel, const Pool2dConfig& config = {});
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "AvgPool2d"; }
  std::string options() const override;

 private:
  Pair kernel_;
  Pool2dConfig config_;
};

/// Average over windows chosen so that the output has the given size; 1 is the global average.
class AdaptiveAvgPool2d : public Module {
 public:
  explicit AdaptiveAvgPool2d(Pair output = 1) : output_(output) {}
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "AdaptiveAvgPool2d"; }
  std::string options() const override;

 private:
  Pair output_;
};

class AdaptiveMaxPool2d : public Module {
 public:
  explicit AdaptiveMaxPool2d(Pair output = 1) : output_(output) {}
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "AdaptiveMaxPool2d"; }
  std::string options() const override;

 private:
  Pair output_;
};

}  // namespace gradus
