#pragma once
// The tape. A Node is one application of an operator: its name, the nodes of its inputs, what it saved, and its rule
// for backward. The tape knows no operator; operators derive from Node (see any ops/<op>/<op>.cpp):
//
//   struct SquareNode final : Node {                     // y = x * x
//     Saved x;
//     const char* name() const override { return "square"; }
//     Grads backward(const Tensor& gy) override { return {mul(gy, mul(x.get(*this), scalar(2)))}; }
//     void release() override { x.reset(); }
//   };
//   Tensor square(const Tensor& x) {
//     Tensor y = …compute…;
//     if (recording({x})) {
//       auto node = std::make_shared<SquareNode>();
//       node->x = x;
//       attach(y, std::move(node), {x});
//     }
//     return y;
//   }
//
// Ownership: a result owns its node, a node owns its inputs' nodes, and a node never owns its own result, so no cycle
// can form. A node keeps no input tensor unless it saved it.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.hpp"

namespace gradus {

/// Gradients for a node's inputs, in order; undefined where there is none or none is needed.
using Grads = std::vector<Tensor>;

/// What a node remembers of an input it did not save: enough to check a gradient against, and no data.
struct InputEdge {
  std::shared_ptr<Node> node;  // null if the input needs no gradient
  Shape shape;
  DType dtype = DType::f32;
  bool pruned = false;  // while grad() runs: leads to no input that was asked for
};

/// y = x · scale + shift for each channel, and perhaps ReLU, where x's rows of channels lie at equal distances.
struct ChannelAffine {
  Tensor x;                 // [N, C, H, W] or [N, C]
  std::int64_t row_stride;  // elements from one row of channels to the next
  Tensor scale, shift;      // [C]
  bool relu;
  Tensor mean = {};  // [C], f64: a batch norm's, about which its gradient's sums are taken
};

struct Node : std::enable_shared_from_this<Node> {
  Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// Ends long chains in a loop, never by recursion.
  virtual ~Node();

  virtual const char* name() const = 0;
  /// The chain rule: from d loss / d y to d loss / d input, for each input with needs(i).
  virtual Grads backward(const Tensor& gy) = 0;
  /// Drops what was saved; called once backward has run, unless the graph is retained.
  virtual void release() = 0;
  /// Whether backward is made of recorded operators, so that gradients of gradients exist.
  virtual bool twice_differentiable() const { return true; }
  /// A result that is cheap to compute again from what the node saved anyway (a normalisation, say) need not be kept by
  /// its readers: where this is true, Saved keeps the node instead, and get() calls rematerialise().
  virtual bool can_rematerialise() const { return false; }
  virtual Tensor rematerialise() { return {}; }
  /// Such a result in the form that a reader can compute as it loads, where it has one.
  virtual std::optional<ChannelAffine> as_affine() { return std::nullopt; }
  /// Bytes saved for backward, for the graph's picture.
  virtual std::int64_t saved_bytes() const { return 0; }

  bool needs(std::size_t i) const { return inputs[i].node != nullptr && !inputs[i].pruned; }

  std::vector<InputEdge> inputs;
  std::uint64_t born;  // creation order is already a topological order
  Shape shape;         // of the result
  DType dtype = DType::f32;
  std::string where;  // the module it was created in, e.g. "layer1.0.conv1"
  bool released = false;
  std::vector<std::function<Tensor(const Tensor&)>> hooks;  // see register_hook
};

/// The node of a leaf: a parameter, or an input that asked for a gradient. Collects into `grad`.
struct Leaf final : Node {
  const char* name() const override { return "leaf"; }
  Grads backward(const Tensor&) override { return {}; }
  void release() override {}
  Tensor grad;
};

/// A tensor kept for backward. Remembers the storage's version: if the tensor is written in place before backward asks
/// for it, get() throws a GraphError that names the operator that saved it and the one that wrote.
class Saved {
 public:
  Saved() = default;
  Saved(const Tensor& input);  // NOLINT: node->x = x saves x
  /// For an operator's own result, which its node must not own: keeps an alias off the tape.
  static Saved output(const Tensor& y);
  ~Saved();
  Saved(const Saved&) = default;
  Saved(Saved&&) = default;
  Saved& operator=(const Saved&) = default;
  Saved& operator=(Saved&&) = default;

  /// The tensor, on the tape as it was. `node` is the one that saved it.
  Tensor get(Node& node) const;
  /// What get() would compute again, for a reader that can do so as it loads; nothing where get() has it in memory.
  std::optional<ChannelAffine> affine(Node& node) const;
  bool defined() const { return tensor_.defined() || source_ != nullptr; }
  /// Whether it keeps y's memory.
  bool holds(const Tensor& y) const { return tensor_.defined() && y.defined() && tensor_.shares_storage(y); }
  std::int64_t bytes() const { return tensor_.defined() ? tensor_.bytes() : 0; }
  void reset();

 private:
  void check_alive(const Node& node) const;
  Tensor tensor_;
  std::shared_ptr<Node> source_;  // instead of the tensor: who can compute it again
  std::uint64_t version_ = 0;
  bool is_output_ = false;
};

/// True while operators are recorded on this thread (no NoGrad in force).
bool grad_enabled();
/// True if any of the tensors has a node and recording is on: then the result needs one too.
bool recording(std::initializer_list<std::reference_wrapper<const Tensor>> inputs);
bool recording(const std::vector<Tensor>& inputs);

/// Switches recording on this thread off (or on) until destroyed.
class GradMode {
 public:
  explicit GradMode(bool enabled);
  ~GradMode();
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

/// Makes `node` the origin of y. In anomaly mode also checks y for NaN and infinity.
void attach(const Tensor& y, std::shared_ptr<Node> node,
            std::initializer_list<std::reference_wrapper<const Tensor>> inputs);
void attach(const Tensor& y, std::shared_ptr<Node> node, const std::vector<Tensor>& inputs);

/// Asks for x's gradient: x becomes a leaf (a floating dtype is required). With false, x leaves the tape.
void set_requires_grad(const Tensor& x, bool requires_grad = true);
/// The gradient collected in a leaf by backward(); undefined before. GraphError if x is not a leaf.
Tensor grad_of(const Tensor& x);
void set_grad(const Tensor& x, const Tensor& grad);
bool is_leaf(const Tensor& x);

/// Calls hook(gradient) when x's gradient is complete, before it goes further; a defined result replaces it. For a leaf
/// that is as soon as all its readers have run. Returns after adding the hook at the end of x's list.
void register_hook(const Tensor& x, std::function<Tensor(const Tensor&)> hook);

/// Until destroyed: operators check their results, and backward every gradient; the first NaN or infinity is a
/// ValueError that names the operator, its shapes and the module it was created in.
class AnomalyMode {
 public:
  explicit AnomalyMode(bool enabled = true);
  ~AnomalyMode();
  AnomalyMode(const AnomalyMode&) = delete;
  AnomalyMode& operator=(const AnomalyMode&) = delete;

 private:
  bool before_;
};
bool anomaly_enabled();
/// Names the place (a module's path) for nodes created while it lives. Scopes nest; `name` must outlive the scope.
class Scope {
 public:
  explicit Scope(const std::string& name);
  explicit Scope(std::string&&) = delete;  // a temporary does not outlive the scope
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
};
/// The innermost scope's name, empty outside.
const std::string& current_scope();

}  // namespace gradus
