#pragma once
// The options that say what a training run computes: those of `gradus train`, and of the commands that train many
// times.

#include <string>

#include "tools/command_line.hpp"
#include "tools/train/config.hpp"

namespace gradus::program {

struct ConfigOptions {
  TrainConfig config;        // bound to the options
  std::string recipe, file;  // --recipe, --config
};

/// Adds --recipe, --config and an option for every member of TrainConfig: `weight_decay` is --weight-decay. `o` must
/// outlive parsing.
void add_config_options(Command command, ConfigOptions& o);

/// What was asked for: the recipe's configuration, changed by the file's settings, changed by the options that were
/// given. UsageError, FileError.
TrainConfig asked_config(Command command, const ConfigOptions& o);

/// "weight_decay" -> "--weight-decay".
std::string option_of(const std::string& key);

}  // namespace gradus::program
