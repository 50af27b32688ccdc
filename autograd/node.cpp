#include "autograd/node.hpp"

#include <atomic>
#include <cmath>

#include "autograd/finite.hpp"

namespace gradus {
namespace {

std::atomic<std::uint64_t> next_number{0};
thread_local bool enabled = true;
thread_local bool anomaly = false;
thread_local std::vector<const std::string*> scopes;

thread_local bool buried = false;  // this thread's graveyard is gone: the thread is ending

/// Nodes and tensors whose owners died wait here and are freed one by one by the outermost destructor on the stack, so
/// that freeing a chain of any length needs no deeper stack than freeing one node.
struct Graveyard {
  std::vector<std::shared_ptr<Node>> nodes;
  std::vector<Tensor> tensors;
  bool digging = false;

  Graveyard() = default;
  ~Graveyard() { buried = true; }
  Graveyard(const Graveyard&) = delete;
  Graveyard& operator=(const Graveyard&) = delete;

  void empty() {
    if (digging) return;
    digging = true;
    while (!nodes.empty() || !tensors.empty()) {
      if (!nodes.empty()) {
        auto node = std::move(nodes.back());
        nodes.pop_back();
      } else {
        auto tensor = std::move(tensors.back());
        tensors.pop_back();
      }
    }
    digging = false;
  }
};
Graveyard& graveyard() {
  thread_local Graveyard instance;
  return instance;
}

template <class Inputs>
void attach_inputs(const Tensor& y, std::shared_ptr<Node> node, const Inputs& inputs) {
  node->inputs.reserve(inputs.size());
  for (const Tensor& x : inputs) {
    if (x.defined())
      node->inputs.push_back({x.node(), x.shape(), x.dtype()});
    else
      node->inputs.push_back({});
  }
  node->shape = y.shape();
  node->dtype = y.dtype();
  node->where = current_scope();
  if (anomaly && !all_finite(y)) {
    std::string text = fmt::format("{}: the result has a NaN or an infinity{}{}\n  y   {}", node->name(),
                                   node->where.empty() ? "" : ", in ", node->where, describe(y));
    int i = 0;
    for (const Tensor& x : inputs)
      if (x.defined())
        text += fmt::format("\n  x{}  {}{}", i++, describe(x), all_finite(x) ? "" : "  (not finite either)");
    throw ValueError(text);
  }
  y.set_node(std::move(node));
}

}  // namespace

Node::Node() : born(next_number.fetch_add(1, std::memory_order_relaxed)) {}

Node::~Node() {
  if (buried) return;  // a tensor with static storage: its chain is freed by recursion
  Graveyard& g = graveyard();
  for (InputEdge& input : inputs)
    if (input.node && input.node.use_count() == 1) g.nodes.push_back(std::move(input.node));
  g.empty();
}

Saved::Saved(const Tensor& input) {
  if (!input.defined()) return;
  if (input.node() && input.node()->can_rematerialise()) {
    source_ = input.node();
  } else {
    tensor_ = input;
    version_ = input.version();
  }
}

Saved Saved::output(const Tensor& y) {
  Saved saved(y.detach());
  saved.is_output_ = true;
  return saved;
}

Saved::~Saved() { reset(); }

void Saved::reset() {
  if (source_) {
    if (!buried && source_.use_count() == 1) {
      Graveyard& g = graveyard();
      g.nodes.push_back(std::move(source_));
      g.empty();
    }
    source_.reset();
  }
  if (!tensor_.defined()) return;
  // Only a tensor with history can start a long chain of destructors.
  if (tensor_.node() == nullptr || buried) {
    tensor_ = Tensor();
    return;
  }
  Graveyard& g = graveyard();
  g.tensors.push_back(std::move(tensor_));
  tensor_ = Tensor();
  g.empty();
}

void Saved::check_alive(const Node& node) const {
  check<GraphError>(!node.released,
                    "{}: backward runs a second time through a graph that was freed "
                    "(pass retain_graph to the first call){}{}",
                    node.name(), node.where.empty() ? "" : ", in ", node.where);
  if (source_)
    check<GraphError>(!source_->released, "{}: the {} whose result it reads again was freed (pass retain_graph)",
                      node.name(), source_->name());
}

std::optional<ChannelAffine> Saved::affine(Node& node) const {
  if (!source_) return std::nullopt;
  check_alive(node);
  const NoGrad off;
  return source_->as_affine();
}

Tensor Saved::get(Node& node) const {
  check_alive(node);
  if (source_) {
    Tensor y;
    {
      const NoGrad off;
      y = source_->rematerialise();
    }
    y.set_node(source_);
    return y;
  }
  if (!tensor_.defined()) return tensor_;
  if (tensor_.version() != version_)
    fail<GraphError>(
        "{}: a tensor it saved for backward was written in place by {} (version {}, saved at {})\n  saved  {}",
        node.name(), tensor_.last_writer(), tensor_.version(), version_, describe(tensor_));
  if (!is_output_) return tensor_;
  Tensor y = tensor_.detach();
  if (grad_enabled()) y.set_node(node.shared_from_this());
  return y;
}

bool grad_enabled() { return enabled; }

bool recording(std::initializer_list<std::reference_wrapper<const Tensor>> inputs) {
  if (!enabled) return false;
  for (const Tensor& x : inputs)
    if (x.requires_grad()) return true;
  return false;
}
bool recording(const std::vector<Tensor>& inputs) {
  if (!enabled) return false;
  for (const Tensor& x : inputs)
    if (x.requires_grad()) return true;
  return false;
}

GradMode::GradMode(bool on) : before_(enabled) { enabled = on; }
GradMode::~GradMode() { enabled = before_; }

void attach(const Tensor& y, std::shared_ptr<Node> node,
            std::initializer_list<std::reference_wrapper<const Tensor>> inputs) {
  attach_inputs(y, std::move(node), inputs);
}
void attach(const Tensor& y, std::shared_ptr<Node> node, const std::vector<Tensor>& inputs) {
  attach_inputs(y, std::move(node), inputs);
}

void set_requires_grad(const Tensor& x, bool requires_grad) {
  if (requires_grad && !is_floating(x.dtype()))
    fail<DTypeError>("requires_grad: only floating tensors have gradients, got {}", describe(x));
  if (x.node() != nullptr && !is_leaf(x))
    fail<GraphError>("requires_grad: the tensor is the result of {}, not a leaf (detach() it)\n  {}",
                     x.node() ? x.node()->name() : "", describe(x));
  if (!requires_grad) {
    x.set_node(nullptr);
  } else if (x.node() == nullptr) {
    auto leaf = std::make_shared<Leaf>();
    leaf->shape = x.shape();
    leaf->dtype = x.dtype();
    x.set_node(std::move(leaf), /*leaf=*/true);
  }
}

bool is_leaf(const Tensor& x) { return dynamic_cast<Leaf*>(x.node().get()) != nullptr; }

namespace {
Leaf& leaf_of(const char* op, const Tensor& x) {
  auto* leaf = dynamic_cast<Leaf*>(x.node().get());
  if (leaf == nullptr)
    fail<GraphError>("{}: only a leaf (a tensor with requires_grad that no operator made) collects a gradient\n  {}",
                     op, describe(x));
  return *leaf;
}
}  // namespace

Tensor grad_of(const Tensor& x) { return leaf_of("grad_of", x).grad; }
void set_grad(const Tensor& x, const Tensor& grad) {
  if (grad.defined() && grad.shape() != x.shape())
    fail<ShapeError>("set_grad: shapes differ\n{}", describe({{"x", &x}, {"grad", &grad}}));
  leaf_of("set_grad", x).grad = grad;
}

void register_hook(const Tensor& x, std::function<Tensor(const Tensor&)> hook) {
  if (!x.requires_grad()) fail<GraphError>("register_hook: the tensor has no gradient\n  {}", describe(x));
  x.node()->hooks.push_back(std::move(hook));
}

AnomalyMode::AnomalyMode(bool on) : before_(anomaly) { anomaly = on; }
AnomalyMode::~AnomalyMode() { anomaly = before_; }
bool anomaly_enabled() { return anomaly; }

Scope::Scope(const std::string& name) { scopes.push_back(&name); }
Scope::~Scope() { scopes.pop_back(); }
const std::string& current_scope() {
  static const std::string none;
  return scopes.empty() ? none : *scopes.back();
}

}  // namespace gradus
