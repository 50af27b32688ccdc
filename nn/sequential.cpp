#include "nn/sequential.hpp"

#include "nn/layers/activation.hpp"
#include "nn/layers/batch_norm.hpp"

namespace gradus {

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (std::size_t i = 0; i < children_.size(); ++i) {
    auto* norm = dynamic_cast<BatchNorm2d*>(children_[i].second.get());
    if (norm && i + 1 < children_.size() && dynamic_cast<ReLU*>(children_[i + 1].second.get())) {
      y = norm->relu(y);
      ++i;
    } else {
      y = (*children_[i].second)(y);
    }
  }
  return y;
}

}  // namespace gradus
