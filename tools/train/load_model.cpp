#include "tools/train/load_model.hpp"

#include <nlohmann/json.hpp>

#include "nn/checkpoint.hpp"
#include "nn/files/weights.hpp"
#include "tools/program.hpp"
#include "tools/train/preprocess.hpp"
#include "tools/train/transfer.hpp"
#include "zoo/model_name.hpp"

namespace gradus::program {
namespace {

constexpr std::int64_t kImageNetClasses = 1000;

std::string note(const NamedTensors& weights, const char* key) {
  const auto found = weights.metadata.find(key);
  return found == weights.metadata.end() ? std::string() : found->second;
}

/// The texts of a JSON list.
std::vector<std::string> list_of(const std::string& text, const std::string& path) {
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  check<FileError>(parsed.is_array(), "{}: its list of classes is damaged", path);
  std::vector<std::string> list;
  for (const auto& c : parsed) list.push_back(c.is_string() ? c.get<std::string>() : c.dump());
  return list;
}

data::ClassList classes_of(const NamedTensors& weights, const zoo::ModelInfo& model, const std::string& path) {
  const std::string names = note(weights, "classes"), folders = note(weights, "class_folders");
  if (!names.empty()) {
    try {
      return {list_of(folders.empty() ? names : folders, path), list_of(names, path), path};
    } catch (const ValueError& error) {
      throw FileError(error.what());
    }
  }
  // Other programs' files name no classes, but a thousand of a network for ImageNet are ImageNet's.
  if (model.classes == kImageNetClasses && count_classes(weights, model) == kImageNetClasses)
    return data::imagenet_classes();
  return {};
}

}  // namespace

WeightNotes notes_of(const NamedTensors& weights, const zoo::ModelInfo& model, const std::string& path) {
  WeightNotes notes{.preprocess = note(weights, "preprocess"),
                    .preprocess_why = "as the weights say",
                    .classes = classes_of(weights, model, path),
                    .data = note(weights, "data"),
                    .size = model.input};
  if (notes.preprocess.empty()) {
    notes.preprocess = published_preprocessing(model.name);
    notes.preprocess_why = fmt::format("as published weights of {} expect, since the file says nothing", model.name);
  }
  if (const std::string input = note(weights, "input"); !input.empty()) notes.size = parse_input(input).height;
  return notes;
}

void write_classes(const data::ClassList& classes, std::map<std::string, std::string>& metadata) {
  metadata["classes"] = nlohmann::json(classes.names()).dump();
  if (classes.folders() != classes.names()) metadata["class_folders"] = nlohmann::json(classes.folders()).dump();
}

LoadedModel load_model(const std::string& name, const std::string& path, bool small) {
  const NamedTensors weights = weights_of(load_weights(path));
  const std::string wanted = name.empty() ? note(weights, "model") : name;
  check<UsageError>(!wanted.empty(), "--model: {} does not say which network it is for", path);
  const zoo::ModelInfo& info =
      reading_options([&]() -> const zoo::ModelInfo& { return zoo::find_model(wanted, small); });
  LoadedModel loaded{.model = nullptr,
                     .name = zoo::canonical_name(wanted, small),
                     .outputs = 0,
                     .notes = notes_of(weights, info, path)};
  loaded.outputs = loaded.notes.classes.empty() ? count_classes(weights, info) : loaded.notes.classes.size();
  loaded.model = zoo::build(loaded.name, {.classes = loaded.outputs, .image_size = loaded.notes.size});
  load_state(*loaded.model, weights, true, path);
  loaded.model->eval();
  return loaded;
}

void show_preprocessing(const std::string& pipeline, const WeightNotes& notes, const std::string& asked) {
  fmt::print(stderr, "preprocessing: {} ({})\n", pipeline,
             asked.empty() ? notes.preprocess_why + "; --preprocess changes it" : "as --preprocess says");
}

}  // namespace gradus::program
