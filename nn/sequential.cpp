#include "nn/sequential.hpp"

#include "autograd/recompute.hpp"
#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"

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

Tensor Sequential::run(const Tensor& x, std::size_t begin, std::size_t end) {
  Tensor y = x;
  for (std::size_t i = begin; i < end; ++i) {
    auto* norm = dynamic_cast<BatchNorm2d*>(children_[i].second.get());
    if (norm && i + 1 < end && dynamic_cast<ReLU*>(children_[i + 1].second.get())) {
      y = norm->relu(y);
      ++i;
    } else {
      y = (*children_[i].second)(y);
    }
  }
  return y;
}

}  // namespace gradus
