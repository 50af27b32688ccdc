#pragma once
#include "nn/module.hpp"

namespace gradus {

/// y = x weight^T + bias. x [..., in] -> [..., out]; weight [out, in], bias [out] unless with_bias = false.
class Linear : public Module {
 public:
  Linear(std::int64_t in, std::int64_t out, bool with_bias = true);
  Tensor forward(const Tensor& x) override;
  std::string type_name() const override { return "Linear"; }
  std::string options() const override;
  std::int64_t multiply_adds(const Tensor& x, const Tensor& y) const override;

  Parameter weight, bias;
  GRADUS_MEMBERS(weight, bias)
};

}  // namespace gradus
