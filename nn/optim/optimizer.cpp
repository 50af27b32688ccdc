#include "nn/optim/optimizer.hpp"

#include <set>

#include "autograd/node.hpp"

namespace gradus::optim {

std::vector<ParameterGroup> one_group(Module& module) { return {{.parameters = module.named_parameters()}}; }

std::vector<ParameterGroup> decay_weights_only(Module& module) {
  ParameterGroup weights, rest{.parameters = {}, .weight_decay_scale = 0};
  for (const NamedParameter& p : module.named_parameters())
    (p.parameter->rank() >= 2 ? weights : rest).parameters.push_back(p);
  return {weights, rest};
}

Optimizer::Optimizer(const std::vector<ParameterGroup>& groups, double lr, StateNames kept) : kept_(std::move(kept)) {
  set_lr(lr);
  std::set<const Parameter*> seen;
  for (const ParameterGroup& group : groups) {
    for (const NamedParameter& p : group.parameters) {
      check(seen.insert(p.parameter).second, "optimizer: parameter {} is given twice", p.name);
      const DType dtype = p.parameter->dtype();
      check<DTypeError>(dtype == DType::f32 || dtype == DType::f64, "optimizer: trains f32 and f64, {} is {}", p.name,
                        describe(*p.parameter));
      if (!slots_.empty() && p.parameter->device() != slots_[0].parameter->device())
        fail<DeviceError>("optimizer: parameters are on different devices: {} is on {}, {} on {}", p.name,
                          to_string(p.parameter->device()), slots_[0].name, to_string(slots_[0].parameter->device()));
      Slot slot{p.name, p.parameter, group.lr_scale, group.weight_decay_scale};
      for (std::size_t k = 0; k < kMaxState; ++k)
        if (!kept_[k].empty()) slot.state[k] = zeros_like(p.parameter->detach());
      slots_.push_back(std::move(slot));
    }
  }
  check(!slots_.empty(), "optimizer: there are no parameters to train");
  steps_ = zeros({static_cast<std::int64_t>(slots_.size())}, {.dtype = DType::i64});
}

void Optimizer::set_lr(double lr) {
  check(lr >= 0, "optimizer: the learning rate must not be negative, got {}", lr);  // NaN is refused too
  lr_ = lr;
}

void Optimizer::zero_grad() {
  for (Slot& slot : slots_)
    if (slot.parameter->requires_grad()) set_grad(*slot.parameter, {});
}

void Optimizer::step() {
  const NoGrad no_grad;
  auto* steps = steps_.data<std::int64_t>();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const Parameter& w = *slot.parameter;
    const Tensor g = w.requires_grad() ? grad_of(w) : Tensor();
    if (!g.defined()) continue;
    for (const Tensor& state : slot.state)
      check<GraphError>(!state.defined() || (state.shape() == w.shape() && state.dtype() == w.dtype()),
                        "optimizer: {} was replaced after the optimizer was made: it is {} now and was {}", slot.name,
                        describe(w), describe(state));
    // One loop walks weight, gradient and state: they must agree in where an element lies.
    check<ShapeError>(w.is_dense(), "optimizer: {} is a view with gaps, {}", slot.name, describe(w));
    for (Tensor& state : slot.state)
      if (state.defined() && state.strides() != w.strides()) state = empty_like(w).copy_(state);
    slot.grad = g.strides() == w.strides() ? g : empty_like(w).copy_(g);
    slot.steps = ++steps[i];
  }
  update();
  for (Slot& slot : slots_) {
    if (!slot.grad.defined()) continue;
    slot.parameter->written(name());
    slot.grad = {};
  }
}

std::vector<NamedState> Optimizer::state() {
  std::vector<NamedState> all;
  for (Slot& slot : slots_)
    for (std::size_t k = 0; k < kMaxState; ++k)
      if (slot.state[k].defined()) all.push_back({slot.name + "." + kept_[k], &slot.state[k], true});
  all.push_back({"steps", &steps_, true});
  return all;
}

}  // namespace gradus::optim
