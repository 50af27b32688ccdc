#pragma once
// The papers' training recipes (zoo/recipes.hpp) as configurations.

#include <string>

#include "tools/train/config.hpp"

namespace gradus::program {

/// The names for the help: "short, alexnet, …".
std::string recipe_names();
/// The configuration of a recipe of the zoo, or of "short", our own for runs of 5 to 30 epochs: one cycle of the
/// learning rate (Smith and Topin 2018), which the defaults are. ValueError with the nearest name for one there is not.
TrainConfig recipe_config(const std::string& name);

}  // namespace gradus::program
