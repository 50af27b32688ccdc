#include "nn/sequential.hpp"

#include "autograd/recompute.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/conv_bn.hpp"

namespace gradus {

Tensor Sequential::forward(const Tensor& x) {
  if (cuts_.empty()) return run(x, 0, children_.size());
  Tensor y = x;
  std::size_t begin = 0;
  for (std::size_t part = 0; part <= cuts_.size() && begin < children_.size(); ++part) {
    const std::size_t end = part < cuts_.size() ? cuts_[part] + 1 : children_.size();
    std::vector<Tensor> parameters;
    for (std::size_t i = begin; i < end; ++i)
      for (const Tensor& p : children_[i].second->parameters()) parameters.push_back(p);
    y = recompute([this, begin, end](const Tensor& again) { return run(again, begin, end); }, y, parameters);
    begin = end;
  }
  return y;
}

template <class M>
M* Sequential::child_if(std::size_t& next, std::size_t end) {
  M* found = next < end ? dynamic_cast<M*>(children_[next].second.get()) : nullptr;
  if (found) ++next;
  return found;
}

Tensor Sequential::run(const Tensor& x, std::size_t begin, std::size_t end) {
  Tensor y = x;
  for (std::size_t i = begin; i < end;) {
    // A convolution, a batch norm and a ReLU, as many of them as stand here in that order.
    std::size_t next = i;
    auto* conv = child_if<Conv2d>(next, end);
    auto* norm = child_if<BatchNorm2d>(next, end);
    const bool relu = child_if<ReLU>(next, end) != nullptr;
    if (conv && next > i + 1 && runs_as_one(norm)) {
      y = conv_as_one(*conv, norm, y, {}, relu);
    } else if (conv && norm) {
      y = conv_before(*conv, *norm, y);
      next = i + 1;
    } else if (!conv && norm && relu) {
      y = norm->relu(y);
    } else {
      y = (*children_[i].second)(y);
      next = i + 1;
    }
    i = next;
  }
  return y;
}

}  // namespace gradus
