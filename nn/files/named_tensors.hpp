#pragma once
// What a weight file holds: tensors under names, in the file's order, and text about them.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.hpp"

namespace gradus {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct NamedTensors {
  std::vector<NamedTensor> tensors;             // names are unique
  std::map<std::string, std::string> metadata;  // model, preprocessing, classes, ...: whoever writes the file decides

  /// The tensor of that name, or nullptr.
  const Tensor* find(std::string_view name) const {
    for (const NamedTensor& t : tensors) {
      if (t.name == name) return &t.tensor;
    }
    return nullptr;
  }
};

}  // namespace gradus
