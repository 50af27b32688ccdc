#include "nn/branches.hpp"

#include "ops/cat/cat.hpp"

namespace gradus {

Tensor Branches::forward(const Tensor& x) {
  std::vector<Tensor> parts;
  parts.reserve(children_.size());
  for (auto& [name, child] : children_) parts.push_back((*child)(x));
  try {
    return cat(parts, 1);
  } catch (const ShapeError& error) {  // maps of different sizes: the image does not fit
    if (label_.empty()) throw;
    throw LayerError(label_ + ": " + error.what());
  }
}

}  // namespace gradus
