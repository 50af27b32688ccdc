#pragma once
// The papers' training recipes as presets of TrainConfig.

#include <string>
#include <vector>

#include "tools/train/config.hpp"

namespace gradus::program {

struct Recipe {
  std::string name;
  std::string source;  // paper and section
  void (*apply)(TrainConfig& config);
};

const std::vector<Recipe>& recipes();
/// ValueError with the nearest name for one there is not.
const Recipe& find_recipe(const std::string& name);

}  // namespace gradus::program
