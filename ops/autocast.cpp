#include "ops/autocast.hpp"

#include <algorithm>

#include "autograd/autocast.hpp"
#include "autograd/node.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// A scope is on, and x is something it casts.
bool is_cast(const Tensor& x) {
  return autocast_dtype() == DType::bf16 && x.defined() && x.device().type != DeviceType::cpu &&
         (x.dtype() == DType::f32 || x.dtype() == DType::bf16);
}

}  // namespace

Tensor lowered(const Tensor& x) {
  if (!is_cast(x) || x.dtype() == DType::bf16) return x;
  if (!is_leaf(x)) return to(x, DType::bf16);
  if (Tensor kept = kept_cast(x); kept.defined()) return kept;
  const Tensor y = to(x, DType::bf16);
  keep_cast(x, y);
  return y;
}

Tensor raised(const Tensor& x) { return is_cast(x) ? to(x, DType::f32) : x; }

void promote(Tensor& a, Tensor& b) {
  if (!is_cast(a) || !is_cast(b) || a.dtype() == b.dtype()) return;
  a = to(a, DType::f32);
  b = to(b, DType::f32);
}

std::vector<Tensor> promoted(const std::vector<Tensor>& operands) {
  if (operands.empty() || !std::all_of(operands.begin(), operands.end(), is_cast)) return operands;
  const auto is_f32 = [](const Tensor& x) { return x.dtype() == DType::f32; };
  if (std::none_of(operands.begin(), operands.end(), is_f32)) return operands;
  std::vector<Tensor> all;
  for (const Tensor& x : operands) all.push_back(to(x, DType::f32));
  return all;
}

Tensor like_operand(const Tensor& operand, const Tensor& x) {
  return is_cast(operand) && is_cast(x) ? to(operand, x.dtype()) : operand;
}

}  // namespace gradus
