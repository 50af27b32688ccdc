#include "nn/module.hpp"

#include "autograd/recompute.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

thread_local ForwardObserver* observer = nullptr;
thread_local Device new_device = kCpu;

/// A module's members sorted by kind, children in order.
struct Collected final : MemberVisitor {
  std::vector<std::pair<std::string, Parameter*>> parameters;
  std::vector<std::pair<std::string, Buffer*>> buffers;
  std::vector<std::pair<std::string, Module*>> children;
  explicit Collected(Module& m) { m.members(*this); }
  void module(const std::string& name, Module& child) override { children.emplace_back(name, &child); }
  void parameter(const std::string& name, Parameter& p) override {
    if (p.defined()) parameters.emplace_back(name, &p);
  }
  void buffer(const std::string& name, Buffer& b) override {
    if (b.defined()) buffers.emplace_back(name, &b);
  }
};

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : name.empty() ? prefix : prefix + "." + name;
}

void walk(Module& module, const std::string& prefix, const std::function<void(const std::string&, Module&)>& fn) {
  fn(prefix, module);
  for (auto& [name, child] : Collected(module).children) walk(*child, join(prefix, name), fn);
}

}  // namespace

Parameter::Parameter(const Tensor& value) : Tensor(value.detach()) { set_requires_grad(*this); }

std::vector<NamedModule> Module::named_modules() {
  std::vector<NamedModule> all;
  walk(*this, "", [&](const std::string& name, Module& m) { all.push_back({name, &m}); });
  return all;
}

std::vector<NamedState> Module::state() {
  std::vector<NamedState> all;
  walk(*this, "", [&](const std::string& prefix, Module& m) {
    Collected own(m);
    for (auto& [name, p] : own.parameters) all.push_back({join(prefix, name), p, false});
    for (auto& [name, b] : own.buffers) all.push_back({join(prefix, name), b, true});
  });
  return all;
}

std::vector<NamedParameter> Module::named_parameters() {
  std::vector<NamedParameter> all;
  for (NamedState& s : state())
    if (!s.is_buffer) all.push_back({s.name, static_cast<Parameter*>(s.tensor)});
  return all;
}

std::vector<Tensor> Module::parameters() {
  std::vector<Tensor> all;
  for (NamedParameter& p : named_parameters()) all.push_back(*p.parameter);
  return all;
}

std::int64_t Module::parameter_count() {
  std::int64_t count = 0;
  for (NamedParameter& p : named_parameters()) count += p.parameter->numel();
  return count;
}

void Module::apply(const std::function<void(Module&)>& fn) {
  walk(*this, "", [&](const std::string&, Module& m) { fn(m); });
}

void Module::train(bool on) {
  apply([on](Module& m) { m.training_ = on; });
}

Tensor Module::forward_recomputed(const Tensor& x) {
  return recompute([this](const Tensor& again) { return forward(again); }, x, parameters());
}

void Module::name_paths(const std::string& root) {
  walk(*this, root, [](const std::string& name, Module& m) { m.path_ = name; });
}

void Module::to(DType dtype) {
  check<DTypeError>(is_floating(dtype), "Module::to: parameters are floating, got {}", dtype_name(dtype));
  for (NamedState& s : state()) {
    if (!is_floating(s.tensor->dtype()) || s.tensor->dtype() == dtype) continue;
    const bool trained = s.tensor->requires_grad();
    *s.tensor = gradus::to(s.tensor->detach(), dtype);
    if (trained) set_requires_grad(*s.tensor);
  }
}

void Module::to(Device device) {
  for (NamedState& s : state()) {
    if (s.tensor->device() == device) continue;
    const bool trained = s.tensor->requires_grad();
    *s.tensor = gradus::to(s.tensor->detach(), device);
    if (trained) set_requires_grad(*s.tensor);
  }
}

void Module::zero_grad() {
  for (NamedParameter& p : named_parameters())
    if (p.parameter->requires_grad()) set_grad(*p.parameter, Tensor());
}

void Module::requires_grad(bool on) {
  for (NamedParameter& p : named_parameters()) set_requires_grad(*p.parameter, on);
}

ForwardObserver::ForwardObserver() : outer_(std::exchange(observer, this)) {}
ForwardObserver::~ForwardObserver() { observer = outer_; }
ForwardObserver* ForwardObserver::current() { return observer; }

Device construction_device() { return new_device; }
ConstructOn::ConstructOn(Device device) : before_(std::exchange(new_device, device)) {}
ConstructOn::~ConstructOn() { new_device = before_; }

namespace {
void print(Module& module, const std::string& name, int depth, std::string& out) {
  out += fmt::format("{:{}}{}{}{}{}\n", "", 2 * depth, name.empty() ? "" : name + ": ", module.type_name(),
                     module.options().empty() ? "" : "(" + module.options(), module.options().empty() ? "" : ")");
  for (auto& [child_name, child] : Collected(module).children) print(*child, child_name, depth + 1, out);
}
}  // namespace

std::string to_string(Module& module) {
  std::string out;
  print(module, "", 0, out);
  return out;
}

}  // namespace gradus
