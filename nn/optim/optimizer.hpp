#pragma once
// Optimisers: what turns gradients into better weights.
//
//   optim::Sgd sgd(model, {.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4});
//   …
//   sgd.zero_grad();
//   backward(loss);
//   sgd.set_lr(schedule(t));
//   sgd.step();
//
// A step is one parallel pass over all parameters: every weight, gradient and state element is read once and written
// once, so it costs what memory bandwidth allows. State tensors exist from the start and have names, for checkpoints.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/module.hpp"
#include "nn/optim/optim_kernels.hpp"
#include "nn/optim/spans.hpp"
#include "ops/run.hpp"

namespace gradus::optim {

/// Parameters that are treated alike. Scales multiply what the optimiser is set to (Caffe's lr_mult and decay_mult): a
/// new head may learn ten times faster, biases may go without weight decay.
struct ParameterGroup {
  std::vector<NamedParameter> parameters;
  double lr_scale = 1;
  double weight_decay_scale = 1;
};

/// All parameters in one group.
std::vector<ParameterGroup> one_group(Module& module);
/// Two groups: weights of two or more dimensions, and the rest (biases, normalisation), which is not decayed.
std::vector<ParameterGroup> decay_weights_only(Module& module);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Updates every parameter that has a gradient and requires one; others keep their values and their state.
  void step();
  void zero_grad();

  /// The learning rate of a group with lr_scale 1; schedules set it.
  double lr() const { return lr_; }
  void set_lr(double lr);

  /// "sgd", "adam", …: written to checkpoints, whose state another optimiser refuses.
  virtual const char* name() const = 0;
  /// The state tensors, named <parameter>.<what> ("conv1.weight.momentum_buffer", PyTorch's words), and "steps", i64
  /// [parameters]: how often each one was updated. Writing the tensors restores the state.
  std::vector<NamedState> state();

 protected:
  static constexpr int kMaxState = 3;  // state tensors per parameter

  /// One parameter and what is kept for it.
  struct Slot {
    std::string name;
    Parameter* parameter;
    double lr_scale, weight_decay_scale;
    std::int64_t steps = 0;                    // updates so far, this one included while update() runs
    std::array<Tensor, kMaxState> state = {};  // undefined where the optimiser keeps less
    Tensor grad = {};                          // this step's, laid out as the parameter; undefined: skip
  };

  /// ValueError for an empty list, a parameter named twice, a negative learning rate; DTypeError unless f32 or f64.
  /// `kept` names the state tensors per parameter, made of zeros; an empty name: none in that place.
  using StateNames = std::array<std::string, kMaxState>;
  Optimizer(const std::vector<ParameterGroup>& groups, double lr, StateNames kept);

  /// Updates the slots that have a `grad`, with run_slots().
  virtual void update() = 0;

  /// One pass of `kernel` over all slots that have a `grad`. coefficients(slot) gives each one's numbers.
  template <class Coefficients, class Make>
  void run_slots(void (*const (&kernel)[2])(const Run&, const Coefficients&), Make&& coefficients) {
    std::vector<Coefficients> c(slots_.size());
    std::vector<std::int64_t> sizes(slots_.size(), 0);
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i].grad.defined()) continue;
      c[i] = coefficients(static_cast<const Slot&>(slots_[i]));
      sizes[i] = slots_[i].parameter->numel();
    }
    const auto run_of = [&](const Slot& slot, std::int64_t begin, std::int64_t end) {
      return Run{element(*slot.parameter, begin),
                 element(slot.grad, begin),
                 {element(slot.state[0], begin), element(slot.state[1], begin), element(slot.state[2], begin)},
                 end - begin};
    };
    const auto on_cpu = [&] {
      parallel_spans(sizes, [&](const Span& span) {
        const Slot& slot = slots_[span.tensor];
        kernel[slot.parameter->dtype() == DType::f64](run_of(slot, span.begin, span.end), c[span.tensor]);
      });
    };
    const auto on_cuda = [&] {
      for (const DType dtype : {DType::f32, DType::f64}) {
        std::vector<Run> runs;
        std::vector<Coefficients> of_run;
        for (std::size_t i = 0; i < slots_.size(); ++i) {
          if (sizes[i] == 0 || slots_[i].parameter->dtype() != dtype) continue;
          runs.push_back(run_of(slots_[i], 0, sizes[i]));
          of_run.push_back(c[i]);
        }
        cuda::update(dtype, runs, of_run);
      }
    };
    run(name(), slots_[0].parameter->device(), on_cpu, on_cuda);
  }

  std::vector<Slot>& slots() { return slots_; }

 private:
  std::vector<Slot> slots_;
  StateNames kept_;
  Tensor steps_;  // i64 [parameters]
  double lr_ = 0;
};

}  // namespace gradus::optim
