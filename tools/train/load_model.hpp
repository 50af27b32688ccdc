#pragma once
// A network from a weight file, for the commands that use one.

#include <map>
#include <memory>
#include <string>

#include "data/class_list.hpp"
#include "nn/files/named_tensors.hpp"
#include "nn/module.hpp"
#include "zoo/registry.hpp"

namespace gradus::program {

/// What a weight file says about its network. Files that Gradus wrote carry it as metadata; of other programs' files
/// the zoo knows what the published weights of that model expect.
struct WeightNotes {
  std::string preprocess;      // pipeline text
  std::string preprocess_why;  // "as the weights say"
  data::ClassList classes;     // empty where nothing is known
  std::string data;            // the data set it was trained on, where the file says; else empty
  std::int64_t size = 0;       // height and width of the input
};

/// The notes of `weights`, from the file at `path`, for a network of the zoo. FileError for damaged metadata.
WeightNotes notes_of(const NamedTensors& weights, const zoo::ModelInfo& model, const std::string& path);

/// Notes the classes in a weight file's metadata, where notes_of() finds them.
void write_classes(const data::ClassList& classes, std::map<std::string, std::string>& metadata);

struct LoadedModel {
  std::unique_ptr<Classifier> model;  // in eval mode
  std::string name;                   // of the zoo
  std::int64_t outputs = 0;           // classes it tells apart
  WeightNotes notes;
};

/// Builds `name` (empty: what the file says) and loads the weights. `small`: short names mean the forms for 32x32
/// images. The number of classes is read off the file. UsageError where no name is known, FileError where the file does
/// not fit.
LoadedModel load_model(const std::string& name, const std::string& weights, bool small);

/// Tells the user which preprocessing is used, and why: a line on stderr. `asked` is what the command line says.
void show_preprocessing(const std::string& pipeline, const WeightNotes& notes, const std::string& asked);

}  // namespace gradus::program
