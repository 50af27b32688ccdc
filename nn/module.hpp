#pragma once
// Module: a part of a network, with named parameters, buffers and children.
//
// Members are values, and one line names them, in the order of PyTorch's state dict:
//
//   struct Block : Module {
//     Block(int in, int out) : conv1(in, out, {.kernel = 3, .padding = 1, .bias = false}), bn1(out) {}
//     Tensor forward(const Tensor& x) override { return bn1.relu(conv1(x)); }
//     Conv2d conv1;
//     BatchNorm2d bn1;
//     GRADUS_MEMBERS(conv1, bn1)            // "conv1.weight", "bn1.weight", "bn1.bias", …
//   };
//
// train() and eval() change modules; NoGrad changes the tape; neither does the other's work.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/node.hpp"
#include "core/tensor.hpp"

namespace gradus {

/// A tensor that is trained: a leaf of the tape. Undefined where a layer has none (bias = false).
struct Parameter : Tensor {
  Parameter() = default;
  explicit Parameter(const Tensor& value);
};

/// A tensor that belongs to the state but is not trained: running statistics.
struct Buffer : Tensor {
  Buffer() = default;
  explicit Buffer(const Tensor& value) : Tensor(value) {}
};

class Module;

/// Called by Module::members for every member, in order.
class MemberVisitor {
 public:
  virtual ~MemberVisitor() = default;
  virtual void module(const std::string& name, Module& child) = 0;
  virtual void parameter(const std::string& name, Parameter& p) = 0;
  virtual void buffer(const std::string& name, Buffer& b) = 0;

  void operator()(const std::string& name, Module& child) { module(name, child); }
  void operator()(const std::string& name, Parameter& p) { parameter(name, p); }
  void operator()(const std::string& name, Buffer& b) { buffer(name, b); }
  template <class M>
  void operator()(const std::string& name, std::optional<M>& child) {
    if (child) module(name, *child);
  }
  template <class M>
  void operator()(const std::string& name, std::unique_ptr<M>& child) {
    if (child) module(name, *child);
  }
};

struct NamedParameter {
  std::string name;
  Parameter* parameter;
};
/// An entry of the state dict; `tensor` points at the member, so that loading can write it.
struct NamedState {
  std::string name;
  Tensor* tensor;
  bool is_buffer;
};
struct NamedModule {
  std::string name;  // empty for the root
  Module* module;
};

/// A ShapeError that names the innermost module it arose in: "layer4.0.conv1: conv2d: …". An image too small for a
/// network ends in one.
struct LayerError : ShapeError {
  using ShapeError::ShapeError;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  Module(const Module&) = delete;  // a copy would share its parameters
  Module& operator=(const Module&) = delete;

  /// What the module computes. Call it as module(x), which also tells observers and the tape where they are.
  virtual Tensor forward(const Tensor& x) = 0;
  Tensor operator()(const Tensor& x) {
    return observed(x, [&] { return recomputes_ ? forward_recomputed(x) : forward(x); });
  }

  /// Shows every parameter, buffer and child to the visitor; written by GRADUS_MEMBERS.
  virtual void members(MemberVisitor&) {}
  /// The type's name as printed, e.g. "Conv2d".
  virtual std::string type_name() const { return "Module"; }
  /// Its options as printed, e.g. "64, 128, kernel 3, stride 2".
  virtual std::string options() const { return ""; }
  /// Multiplications (each with an addition) of one forward pass from x to y, in this module alone, not its children.
  virtual std::int64_t multiply_adds(const Tensor& /*x*/, const Tensor& /*y*/) const { return 0; }

  // Trees of names, in PyTorch's order: a module's own parameters, then its buffers, then its children.
  std::vector<NamedParameter> named_parameters();
  std::vector<Tensor> parameters();
  std::vector<NamedState> state();           // parameters and buffers
  std::vector<NamedModule> named_modules();  // this one first, then its children, depth first
  std::int64_t parameter_count();

  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }
  /// With true, calling this module keeps only its input for backward, which runs it again (autograd/recompute.hpp).
  void recompute_in_backward(bool on = true) { recomputes_ = on; }
  /// A unit worth recomputing as a whole: a residual block, an inception block.
  virtual bool is_block() const { return false; }
  void to(DType dtype);  // floating parameters and buffers
  void to(Device device);
  /// fn(module) for this and every module below.
  void apply(const std::function<void(Module&)>& fn);
  void zero_grad();
  void requires_grad(bool on);
  /// Tells every module below its path, which anomaly messages, profiles and graphs show. Builders call it once.
  void name_paths(const std::string& root = "");
  const std::string& path() const { return path_; }

 protected:
  /// Runs fn, the module's work on x, inside the module's scope and observers. For modules with entry points beside
  /// forward (BatchNorm2d::relu).
  template <class Fn>
  Tensor observed(const Tensor& x, Fn&& fn);

 private:
  Tensor forward_recomputed(const Tensor& x);
  std::string path_;
  bool training_ = true;
  bool recomputes_ = false;
};

/// Watches modules run on this thread: summaries, profiles, histograms.
class ForwardObserver {
 public:
  ForwardObserver();
  virtual ~ForwardObserver();
  ForwardObserver(const ForwardObserver&) = delete;
  ForwardObserver& operator=(const ForwardObserver&) = delete;
  virtual void before(Module& module, const Tensor& x) = 0;
  virtual void after(Module& module, const Tensor& x, const Tensor& y) = 0;
  static ForwardObserver* current();

 private:
  ForwardObserver* outer_;
};

template <class Fn>
Tensor Module::observed(const Tensor& x, Fn&& fn) {
  const Scope scope(path_);
  ForwardObserver* observer = ForwardObserver::current();
  if (observer) observer->before(*this, x);
  Tensor y;
  try {
    y = fn();
  } catch (const LayerError&) {
    throw;  // named by a module further in
  } catch (const ShapeError& error) {
    if (path_.empty()) throw;
    throw LayerError(path_ + ": " + error.what());
  }
  if (observer) observer->after(*this, x, y);
  return y;
}

/// What a classifier with auxiliary heads gives: the logits that count, and those that only help training.
struct Heads {
  Tensor logits;  // [N, classes]
  struct Auxiliary {
    std::string name;  // "aux1"
    Tensor logits;
    double loss_weight;  // of its cross-entropy in the training loss
  };
  std::vector<Auxiliary> auxiliary;
};

/// An image classifier. forward() gives the logits; forward_heads() also the auxiliary ones when training.
class Classifier : public Module {
 public:
  virtual Heads forward_heads(const Tensor& x) { return {(*this)(x), {}}; }
};

/// The device that layers put new parameters on: cpu, or meta to know a network without holding it.
Device construction_device();
class ConstructOn {
 public:
  explicit ConstructOn(Device device);
  ~ConstructOn();
  ConstructOn(const ConstructOn&) = delete;
  ConstructOn& operator=(const ConstructOn&) = delete;

 private:
  Device before_;
};

/// One line per module: name, type, options; nested by indentation.
std::string to_string(Module& module);

}  // namespace gradus

// GRADUS_MEMBERS(a, b, …): void members(MemberVisitor& visit) override { visit("a", a); visit("b", b); … }
#define GRADUS_PARENS ()
#define GRADUS_EXPAND(...) GRADUS_EXPAND3(GRADUS_EXPAND3(GRADUS_EXPAND3(GRADUS_EXPAND3(__VA_ARGS__))))
#define GRADUS_EXPAND3(...) GRADUS_EXPAND2(GRADUS_EXPAND2(GRADUS_EXPAND2(GRADUS_EXPAND2(__VA_ARGS__))))
#define GRADUS_EXPAND2(...) GRADUS_EXPAND1(GRADUS_EXPAND1(GRADUS_EXPAND1(GRADUS_EXPAND1(__VA_ARGS__))))
#define GRADUS_EXPAND1(...) __VA_ARGS__
#define GRADUS_VISIT(first, ...) \
  visit(#first, first);          \
  __VA_OPT__(GRADUS_VISIT_AGAIN GRADUS_PARENS(__VA_ARGS__))
#define GRADUS_VISIT_AGAIN() GRADUS_VISIT
#define GRADUS_MEMBERS(...) \
  void members(::gradus::MemberVisitor& visit) override { __VA_OPT__(GRADUS_EXPAND(GRADUS_VISIT(__VA_ARGS__))) }
