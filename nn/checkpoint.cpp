#include "nn/checkpoint.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "nn/files/safetensors.hpp"

namespace gradus {
namespace {

using nlohmann::json;

constexpr const char* kKey = "gradus";  // of the metadata
constexpr const char* kFormat = "training 1";
constexpr std::string_view kOptimizer = "optimizer/", kEma = "ema/";

std::string list(const char* what, const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  std::string text = fmt::format("{} {} (", names.size(), what);
  for (std::size_t i = 0; i < std::min(kShown, names.size()); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kShown) text += fmt::format(", and {} more", names.size() - kShown);
  return text + ")";
}

/// The tensors whose names begin with `prefix`, without it; with an empty prefix those that have none of ours.
NamedTensors section(const NamedTensors& all, std::string_view prefix) {
  NamedTensors part;
  for (const NamedTensor& t : all.tensors) {
    if (prefix.empty() ? !t.name.starts_with(kOptimizer) && !t.name.starts_with(kEma) : t.name.starts_with(prefix))
      part.tensors.push_back({t.name.substr(prefix.size()), t.tensor});
  }
  return part;
}

void append(NamedTensors& all, std::string_view prefix, const std::vector<NamedState>& state) {
  for (const NamedState& s : state) all.tensors.push_back({std::string(prefix) + s.name, *s.tensor});
}

void copy_matching(const std::vector<NamedState>& state, const NamedTensors& tensors) {
  const NoGrad no_grad;
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const NamedTensor& t : tensors.tensors) by_name.emplace(t.name, &t.tensor);
  for (const NamedState& s : state)
    if (const auto found = by_name.find(s.name); found != by_name.end() && found->second->shape() == s.tensor->shape())
      s.tensor->copy_(*found->second);
}

void check_section(const std::string& path, const char* what, const std::vector<NamedState>& state,
                   const NamedTensors& tensors) {
  const StateMismatch mismatch = compare_state(state, tensors);
  check<FileError>(mismatch.none(), "{}: does not fit this {}: {}", path, what, mismatch.text());
}

json to_json(const Plateau::State& s) {
  return {{"lr", s.lr}, {"best", s.best}, {"seen", s.seen}, {"bad", s.bad}, {"cooling", s.cooling}};
}

Plateau::State plateau_from(const json& j) {
  return {.lr = j.at("lr"), .best = j.at("best"), .seen = j.at("seen"), .bad = j.at("bad"), .cooling = j.at("cooling")};
}

}  // namespace

std::string StateMismatch::text() const {
  std::string text;
  const auto add = [&](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) text += (text.empty() ? "" : "; ") + list(what, names);
  };
  add("missing", missing);
  add("unexpected", unexpected);
  add("of another shape", other_shape);
  return text;
}

StateMismatch compare_state(const std::vector<NamedState>& state, const NamedTensors& tensors) {
  StateMismatch mismatch;
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const NamedTensor& t : tensors.tensors) by_name.emplace(t.name, &t.tensor);
  std::unordered_set<std::string_view> known;
  for (const NamedState& s : state) {
    known.insert(s.name);
    const auto found = by_name.find(s.name);
    if (found == by_name.end())
      mismatch.missing.push_back(s.name);
    else if (found->second->shape() != s.tensor->shape())
      mismatch.other_shape.push_back(fmt::format("{} {} in the file, {} here", s.name,
                                                 to_string(found->second->shape()), to_string(s.tensor->shape())));
  }
  for (const NamedTensor& t : tensors.tensors)
    if (!known.contains(t.name)) mismatch.unexpected.push_back(t.name);
  return mismatch;
}

StateMismatch load_state(Module& module, const NamedTensors& tensors, bool strict, std::string_view file) {
  const std::vector<NamedState> state = module.state();
  StateMismatch mismatch = compare_state(state, tensors);
  check<FileError>(!strict || mismatch.none(), "{}: does not fit this network: {}", file, mismatch.text());
  copy_matching(state, tensors);
  return mismatch;
}

NamedTensors state_dict(Module& module) {
  NamedTensors all;
  append(all, "", module.state());
  return all;
}

void save_checkpoint(const std::string& path, const TrainingState& state) {
  NamedTensors all = state_dict(*state.model);
  json rest = {{"format", kFormat},
               {"epoch", state.epoch},
               {"batch", state.batch},
               {"step", state.step},
               {"notes", json::object()}};
  for (const auto& [key, value] : state.notes) rest["notes"][key] = value;
  if (state.optimizer) {
    append(all, kOptimizer, state.optimizer->state());
    rest["optimizer"] = {{"name", state.optimizer->name()}, {"lr", state.optimizer->lr()}};
  }
  if (state.ema) {
    append(all, kEma, state.ema->state());
    rest["ema"] = {{"updates", state.ema->updates()}};
  }
  if (state.plateau) rest["plateau"] = to_json(state.plateau->state());
  if (state.generator)
    rest["generator"] = {{"seed", state.generator->seed}, {"next_stream", state.generator->next_stream}};
  all.metadata = state.metadata;
  all.metadata[kKey] = rest.dump();
  files::write_safetensors(path, all);
}

void load_checkpoint(const std::string& path, TrainingState& state) {
  const NamedTensors all = files::read_safetensors(path);
  check<FileError>(is_checkpoint(all), "{}: holds weights, not the state of a training run", path);
  try {
    const json rest = json::parse(all.metadata.at(kKey));
    check<FileError>(rest.at("format") == kFormat, "{}: written by another version (format {}, this one reads {})",
                     path, rest.at("format").dump(), kFormat);
    const auto expect = [&](const char* part, bool wanted) {
      check<FileError>(rest.contains(part) == wanted, "{}: the saved run {} {}, this one {}", path,
                       wanted ? "had no" : "had", part, wanted ? "has" : "has not");
    };
    expect("optimizer", state.optimizer != nullptr);
    expect("ema", state.ema != nullptr);
    expect("plateau", state.plateau != nullptr);
    expect("generator", state.generator != nullptr);
    if (state.optimizer)
      check<FileError>(rest.at("optimizer").at("name") == state.optimizer->name(),
                       "{}: the saved run used {}, this one {}", path, rest.at("optimizer").at("name").dump(),
                       state.optimizer->name());

    const NamedTensors model = section(all, ""), optimizer = section(all, kOptimizer), ema = section(all, kEma);
    check_section(path, "network", state.model->state(), model);
    if (state.optimizer) check_section(path, "optimizer", state.optimizer->state(), optimizer);
    if (state.ema) check_section(path, "weight average", state.ema->state(), ema);

    TrainingState read = state;
    read.epoch = rest.at("epoch");
    read.batch = rest.at("batch");
    read.step = rest.at("step");
    read.notes = rest.at("notes").get<std::map<std::string, std::string>>();
    const double lr = state.optimizer ? rest.at("optimizer").at("lr").get<double>() : 0;
    const std::int64_t updates = state.ema ? rest.at("ema").at("updates").get<std::int64_t>() : 0;
    const Plateau::State plateau = state.plateau ? plateau_from(rest.at("plateau")) : Plateau::State{};
    Generator generator;
    if (state.generator) generator = {rest.at("generator").at("seed"), rest.at("generator").at("next_stream")};

    // Everything is known to fit: from here on nothing fails.
    copy_matching(state.model->state(), model);
    if (state.optimizer) {
      copy_matching(state.optimizer->state(), optimizer);
      state.optimizer->set_lr(lr);
    }
    if (state.ema) {
      copy_matching(state.ema->state(), ema);
      state.ema->set_updates(updates);
    }
    if (state.plateau) state.plateau->restore(plateau);
    if (state.generator) *state.generator = generator;
    state = std::move(read);
  } catch (const json::exception&) {
    fail<FileError>("{}: its description of the training run is damaged", path);
  }
}

bool is_checkpoint(const NamedTensors& tensors) { return tensors.metadata.contains(kKey); }

NamedTensors weights_of(NamedTensors tensors) {
  if (!is_checkpoint(tensors)) return tensors;
  NamedTensors weights = section(tensors, kEma);
  if (weights.tensors.empty()) weights = section(tensors, "");
  weights.metadata = std::move(tensors.metadata);
  weights.metadata.erase(kKey);
  return weights;
}

}  // namespace gradus
