#include "tools/train/transfer.hpp"

#include <algorithm>
#include <set>

#include "autograd/node.hpp"
#include "nn/checkpoint.hpp"

namespace gradus::program {
namespace {

bool inside(const std::string& name, const std::string& module) { return name.starts_with(module + "."); }

}  // namespace

std::int64_t count_classes(const NamedTensors& weights, const zoo::ModelInfo& model) {
  constexpr std::int64_t kUnlikely = 997;  // no layer has so many outputs but the head
  const ConstructOn meta(kMeta);
  const auto shapes = zoo::build(model.name, {.classes = kUnlikely});
  const Tensor* head = weights.find(head_of(*shapes, kUnlikely) + ".weight");
  return head && head->rank() > 0 ? head->size(0) : model.classes;
}

std::string head_of(Module& model, std::int64_t classes) {
  std::string head;
  for (const NamedParameter& p : model.named_parameters())
    if (p.name.ends_with(".weight") && p.parameter->rank() >= 2 && p.parameter->size(0) == classes)
      head = p.name.substr(0, p.name.size() - std::string(".weight").size());
  check(!head.empty(), "--replace-head: no layer of this network has {} outputs", classes);
  return head;
}

void start_from(Module& model, const NamedTensors& weights, const std::string& file, std::int64_t classes,
                bool replace_head) {
  const std::vector<NamedState> state = model.state();
  StateMismatch mismatch = compare_state(state, weights);
  if (!replace_head) {
    const bool other_classes = mismatch.missing.empty() && mismatch.unexpected.empty() && !mismatch.none();
    check<FileError>(mismatch.none(), "{}: does not fit this network: {}{}", file, mismatch.text(),
                     other_classes ? "; --replace-head starts its classifier afresh" : "");
    load_state(model, weights, true, file);
    return;
  }
  const std::string head = head_of(model, classes);
  std::set<std::string> fresh;
  for (const NamedState& s : state) {
    const Tensor* found = weights.find(s.name);
    if (inside(s.name, head) || (found && found->shape() != s.tensor->shape())) fresh.insert(s.name);
  }
  NamedTensors kept;
  for (const NamedTensor& t : weights.tensors)
    if (!fresh.contains(t.name)) kept.tensors.push_back(t);
  mismatch = compare_state(state, kept);
  std::erase_if(mismatch.missing, [&](const std::string& name) { return fresh.contains(name); });
  check<FileError>(mismatch.none(), "{}: does not fit this network: {}", file, mismatch.text());
  load_state(model, kept, false, file);
}

std::vector<Module*> freeze(Module& model, const std::string& what, std::int64_t classes) {
  constexpr std::string_view kUntil = "until=";
  if (what.empty() || what == "none") return {};
  const bool backbone = what == "backbone";
  check(backbone || what.starts_with(kUntil), "--freeze: takes none, backbone or until=LAYER, got \"{}\"", what);
  const std::string from = backbone ? head_of(model, classes) : what.substr(kUntil.size());

  std::vector<NamedModule> modules = model.named_modules();
  const auto first = std::find_if(modules.begin(), modules.end(), [&](const NamedModule& m) { return m.name == from; });
  check(first != modules.end() && !from.empty(), "--freeze until={}: this network has no such layer", from);
  // Names stand in the order of the network: what comes before is frozen, except the modules that `from` is part of.
  std::vector<Module*> frozen;
  for (auto m = modules.begin(); m != first; ++m)
    if (!m->name.empty() && !inside(from, m->name)) frozen.push_back(m->module);
  std::set<const Parameter*> fixed;
  for (Module* m : frozen)
    for (const NamedParameter& p : m->named_parameters())
      if (fixed.insert(p.parameter).second) set_requires_grad(*p.parameter, false);
  return frozen;
}

}  // namespace gradus::program
