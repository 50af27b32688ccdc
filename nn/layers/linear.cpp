#include "nn/layers/linear.hpp"

#include "nn/init.hpp"
#include "ops/linear/linear.hpp"

namespace gradus {

Linear::Linear(std::int64_t in, std::int64_t out, bool with_bias) {
  check(in > 0 && out > 0, "Linear: features are positive, got {} -> {}", in, out);
  const TensorOptions options{.device = construction_device()};
  weight = Parameter(empty({out, in}, options));
  if (with_bias) bias = Parameter(empty({out}, options));
  init::framework_default(weight, bias);
}

Tensor Linear::forward(const Tensor& x) { return linear(x, weight, bias); }

std::string Linear::options() const {
  return fmt::format("{}, {}{}", weight.size(1), weight.size(0), bias.defined() ? "" : ", no bias");
}

std::int64_t Linear::multiply_adds(const Tensor& x, const Tensor& /*y*/) const { return x.numel() * weight.size(0); }

}  // namespace gradus
