#pragma once
// A network from a weight file, for the commands that use one.

#include <memory>
#include <string>
#include <vector>

#include "nn/module.hpp"

namespace gradus::program {

struct LoadedModel {
  std::unique_ptr<Classifier> model;  // in eval mode
  std::string name;                   // of the zoo
  std::vector<std::string> classes;   // names, where the file has them; else empty
  std::string preprocess;             // pipeline text, where the file has one; else empty
  std::string data;                   // the data set it was trained on, where the file says; else empty
  std::int64_t size = 0;              // height and width of the input
};

/// Builds `name` (empty: what the file says) and loads the weights. `small`: short names mean the forms for 32x32
/// images. The number of classes is read off the file. UsageError where no name is known, FileError where the file does
/// not fit.
LoadedModel load_model(const std::string& name, const std::string& weights, bool small);

}  // namespace gradus::program
