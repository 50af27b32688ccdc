#include "tools/train/load_model.hpp"

#include <nlohmann/json.hpp>

#include "nn/checkpoint.hpp"
#include "nn/files/weights.hpp"
#include "tools/program.hpp"
#include "tools/train/transfer.hpp"
#include "zoo/registry.hpp"

namespace gradus::program {
LoadedModel load_model(const std::string& name, const std::string& path, bool small) {
  const NamedTensors weights = weights_of(load_weights(path));
  const auto note = [&](const char* key) {
    const auto found = weights.metadata.find(key);
    return found == weights.metadata.end() ? std::string() : found->second;
  };
  LoadedModel loaded;
  const std::string wanted = name.empty() ? note("model") : name;
  check<UsageError>(!wanted.empty(), "--model: {} does not say which network it is for", path);
  const zoo::ModelInfo& info =
      reading_options([&]() -> const zoo::ModelInfo& { return zoo::find_model(wanted, small); });
  loaded.name = info.name;
  loaded.preprocess = note("preprocess");
  loaded.data = note("data");
  loaded.size = info.input;
  if (const std::string input = note("input"); !input.empty()) loaded.size = parse_input(input).height;
  if (const std::string classes = note("classes"); !classes.empty()) {
    const auto parsed = nlohmann::json::parse(classes, nullptr, false);
    check<FileError>(parsed.is_array(), "{}: its list of classes is damaged", path);
    for (const auto& c : parsed) loaded.classes.push_back(c.is_string() ? c.get<std::string>() : c.dump());
  }
  const auto classes =
      loaded.classes.empty() ? count_classes(weights) : static_cast<std::int64_t>(loaded.classes.size());
  loaded.model = zoo::build(info.name, {.classes = classes, .image_size = loaded.size});
  load_state(*loaded.model, weights, true, path);
  loaded.model->eval();
  return loaded;
}

}  // namespace gradus::program
