#include "autograd/engine.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "autograd/autocast.hpp"
#include "autograd/claim.hpp"
#include "autograd/finite.hpp"

namespace gradus {
namespace {

/// y = a + b, the engine's own operator: the sum rule when backward itself is recorded.
struct SumNode final : Node {
  const char* name() const override { return "sum_of_gradients"; }
  Grads backward(const Tensor& gy) override { return {gy, gy}; }
  void release() override {}
};

/// Whether g may be added to in place: nobody else sees its memory, and no two of its elements share any (the gradient
/// of a sum is an expanded view).
bool owned(const Tensor& g) { return g.unique_storage() && g.is_dense(); }

/// Whether no two elements of g share memory: dense, or a slice of something dense.
bool apart(const Tensor& g) {
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;  // of the dims that matter: stride, size
  for (int d = 0; d < g.rank(); ++d)
    if (g.shape()[d] != 1) steps.emplace_back(g.strides()[d], g.shape()[d]);
  std::sort(steps.begin(), steps.end());
  std::int64_t reach = 1;  // elements that the dims so far take up
  for (const auto& [stride, size] : steps) {
    if (stride < reach) return false;
    reach = stride * size;
  }
  return true;
}

/// Gradients on their way, by the node they are for.
class GradMap {
 public:
  explicit GradMap(bool record) : record_(record) {}

  /// The sum rule, in its one place.
  void add(Node* node, Tensor g) {
    auto [slot, first] = grads_.try_emplace(node, std::move(g));
    if (first) return;
    Tensor& sum = slot->second;
    if (!reusable(sum) && reusable(g))
      std::swap(sum, g);  // addition commutes: write into the one that nobody else holds
    if (!reusable(sum)) {
      Tensor total = sum.clone();
      total.accumulate_(g);
      if (record_ && recording({sum, g})) attach(total, std::make_shared<SumNode>(), {sum, g});
      sum = std::move(total);
    } else {
      sum.accumulate_(g);  // nobody else holds it
    }
  }
  /// The sum so far, if it may be written to, and then nothing is left here; undefined otherwise.
  Tensor take_reusable(Node* node) {
    const auto found = grads_.find(node);
    return found != grads_.end() && reusable(found->second) ? take(node) : Tensor();
  }
  bool has(Node* node) const { return grads_.contains(node); }
  Tensor take(Node* node) {
    auto found = grads_.find(node);
    Tensor g = std::move(found->second);
    grads_.erase(found);
    return g;
  }

 private:
  bool reusable(const Tensor& t) const { return !record_ && t.unique_storage() && apart(t) && !t.requires_grad(); }

  std::unordered_map<Node*, Tensor> grads_;
  bool record_;
};

thread_local GradMap* claimable_from = nullptr;  // of the rule that runs on this thread

/// Lets the rule that runs until this is destroyed claim from `grads`. Rules nest: recompute runs a backward in one.
class Claimable {
 public:
  explicit Claimable(GradMap& grads) : before_(std::exchange(claimable_from, &grads)) {}
  ~Claimable() { claimable_from = before_; }
  Claimable(const Claimable&) = delete;
  Claimable& operator=(const Claimable&) = delete;

 private:
  GradMap* before_;
};

/// Everything below the outputs, newest first. Walks with a stack, never by recursion.
std::vector<std::shared_ptr<Node>> reachable_newest_first(const std::vector<Tensor>& outputs) {
  std::vector<std::shared_ptr<Node>> found;
  std::unordered_set<Node*> seen;
  const auto visit = [&](const std::shared_ptr<Node>& node) {
    if (node && seen.insert(node.get()).second) found.push_back(node);
  };
  for (const Tensor& y : outputs) visit(y.node());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::shared_ptr<Node> node = found[i];
    for (const InputEdge& input : node->inputs) visit(input.node);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->born > b->born; });
  return found;
}

void check_grad(const Node& node, std::size_t i, const Tensor& g) {
  const InputEdge& input = node.inputs[i];
  // Plain `if`: this runs for every gradient, and check() would make the texts of its arguments each time.
  if (g.shape() != input.shape || g.dtype() != input.dtype)
    fail<GraphError>(
        "{}: its backward gave input {} a gradient of another shape or dtype\n  gradient  {}\n  input     {} {}",
        node.name(), i, describe(g), dtype_name(input.dtype), to_string(input.shape));
  if (anomaly_enabled() && !all_finite(g))
    fail<ValueError>("{}: backward gave input {} a gradient with a NaN or an infinity{}{}\n  gradient  {}", node.name(),
                     i, node.where.empty() ? "" : ", in ", node.where, describe(g));
}

/// Runs hooks on a gradient that is complete.
Tensor hooked(Node& node, Tensor g) {
  for (const auto& hook : node.hooks)
    if (Tensor replaced = hook(g); replaced.defined()) {
      if (replaced.shape() != g.shape() || replaced.dtype() != g.dtype())
        fail<GraphError>("hook: replaced a gradient of {} by one of another shape or dtype\n{}", node.name(),
                         describe({{"gradient", &g}, {"replaced", &replaced}}));
      g = std::move(replaced);
    }
  return g;
}

void collect(Leaf& leaf, Tensor g, bool record) {
  g = hooked(leaf, std::move(g));
  if (!leaf.grad.defined()) {
    // A gradient that also flows elsewhere is copied: whoever scales the leaf's grad in place must change nothing else.
    leaf.grad = record ? g : owned(g) ? g.detach() : g.detach().clone();
  } else if (record) {
    Tensor total = leaf.grad.clone();
    total.accumulate_(g);
    if (recording({leaf.grad, g})) attach(total, std::make_shared<SumNode>(), {leaf.grad, g});
    leaf.grad = total;
  } else {
    if (!owned(leaf.grad)) leaf.grad = leaf.grad.clone();
    leaf.grad.accumulate_(g);
  }
}

struct Run {
  bool retain;
  bool record;
  std::unordered_set<Node*> only = {};                  // nodes that lead to a wanted input; empty: all
  std::unordered_map<Node*, Tensor>* wanted = nullptr;  // grad(): where the inputs' gradients go; leaves stay untouched
  bool hooks = true;                                    // run those of wanted inputs
};

/// Tells a node's rule, until destroyed, which of its inputs lead nowhere this time.
class Pruned {
 public:
  Pruned(Node& node, const std::unordered_set<Node*>& only) : node_(node) {
    if (only.empty()) return;
    for (InputEdge& input : node.inputs) input.pruned = !only.contains(input.node.get());
  }
  ~Pruned() {
    for (InputEdge& input : node_.inputs) input.pruned = false;
  }
  Pruned(const Pruned&) = delete;
  Pruned& operator=(const Pruned&) = delete;

 private:
  Node& node_;
};

/// Applies one node's chain rule and passes the results on.
void step(Node& node, Tensor gy, GradMap& grads, const Run& run) {
  check<GraphError>(
      !node.released,
      "{}: backward runs a second time through a graph that was freed (pass retain_graph to the first call)",
      node.name());
  check<GraphError>(!run.record || node.twice_differentiable(), "{}: has no gradient of its gradient (create_graph)",
                    node.name());
  const Scope scope(node.where);
  const Pruned pruned(node, run.only);
  Grads g = [&] {
    const Claimable claimable(grads);
    return node.backward(gy);
  }();
  gy = Tensor();
  check<GraphError>(g.size() == node.inputs.size(), "{}: its backward returned {} gradients for {} inputs", node.name(),
                    g.size(), node.inputs.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    if (!g[i].defined() || !node.needs(i)) continue;
    check_grad(node, i, g[i]);
    grads.add(node.inputs[i].node.get(), std::move(g[i]));
  }
  if (!run.retain) {
    node.release();
    node.released = true;
  }
}

void propagate(const std::vector<std::shared_ptr<Node>>& order, GradMap& grads, const Run& run) {
  // A leaf is complete as soon as its last reader has run: counted here, so that hooks fire early.
  std::unordered_map<Node*, int> readers;
  const auto takes_part = [&](Node* node) { return run.only.empty() || run.only.contains(node); };
  const auto is_wanted = [&](Node* node) { return run.wanted && run.wanted->contains(node); };
  for (const auto& node : order)
    if (takes_part(node.get()))
      for (const InputEdge& input : node->inputs)
        if (auto* leaf = dynamic_cast<Leaf*>(input.node.get())) ++readers[leaf];

  // A wanted result whose own inputs lead to nothing wanted ends the walk there.
  const auto leads_on = [&](const Node& node) {
    return run.only.empty() || std::any_of(node.inputs.begin(), node.inputs.end(),
                                           [&](const InputEdge& input) { return run.only.contains(input.node.get()); });
  };

  const auto complete_leaf = [&](Node* node) {
    if (!grads.has(node)) return;
    Tensor g = grads.take(node);
    if (run.wanted) {
      if (is_wanted(node)) (*run.wanted)[node] = run.hooks ? hooked(*node, std::move(g)) : std::move(g);
    } else {
      collect(static_cast<Leaf&>(*node), std::move(g), run.record);
    }
  };

  const GradMode mode(run.record);
  const Autocast off(DType::f32);  // rules run in the dtypes the forward pass chose
  for (const auto& node : order) {
    Node* n = node.get();
    if (dynamic_cast<Leaf*>(n)) {
      if (!readers.contains(n)) complete_leaf(n);  // an output that is itself a leaf
      continue;
    }
    if (!takes_part(n)) continue;
    if (grads.has(n)) {
      Tensor gy = grads.take(n);
      if (run.hooks || !is_wanted(n)) gy = hooked(*n, std::move(gy));
      if (is_wanted(n)) (*run.wanted)[n] = gy;
      if (leads_on(*n)) step(*n, std::move(gy), grads, run);
    }
    for (const InputEdge& input : n->inputs)
      if (auto found = readers.find(input.node.get()); found != readers.end() && --found->second == 0)
        complete_leaf(found->first);
  }
}

Tensor seed_for(const char* op, const Tensor& y, const Tensor& seed) {
  if (!y.requires_grad())
    fail<GraphError>("{}: the tensor has no history; no input asked for a gradient\n  {}", op, describe(y));
  if (seed.defined()) {
    if (seed.shape() != y.shape() || seed.dtype() != y.dtype() || seed.device() != y.device())
      fail<ShapeError>("{}: the seed is not like the output\n{}", op, describe({{"output", &y}, {"seed", &seed}}));
    return seed;
  }
  if (y.numel() != 1)
    fail<ShapeError>("{}: the output has {} elements; give a seed or reduce it to one number\n  {}", op, y.numel(),
                     describe(y));
  return ones_like(y);
}

}  // namespace

Tensor claim_gradient(const Node& node, std::size_t i) {
  return claimable_from != nullptr && node.needs(i) ? claimable_from->take_reusable(node.inputs[i].node.get())
                                                    : Tensor();
}

void backward(const Tensor& loss, const Tensor& seed, const BackwardOptions& options) {
  GradMap grads(options.create_graph);
  grads.add(loss.node().get(), seed_for("backward", loss, seed));
  propagate(reachable_newest_first({loss}), grads,
            {.retain = options.retain_graph || options.create_graph, .record = options.create_graph});
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const GradOptions& options) {
  check<GraphError>(options.seeds.empty() || options.seeds.size() == outputs.size(), "grad: {} seeds for {} outputs",
                    options.seeds.size(), outputs.size());
  GradMap grads(options.create_graph);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    grads.add(outputs[i].node().get(),
              seed_for("grad", outputs[i], options.seeds.empty() ? Tensor() : options.seeds[i]));

  std::unordered_map<Node*, Tensor> wanted;
  for (const Tensor& x : inputs) {
    if (!x.requires_grad()) fail<GraphError>("grad: an input does not require a gradient\n  {}", describe(x));
    wanted[x.node().get()] = Tensor();
  }
  const auto order = reachable_newest_first(outputs);
  Run run{.retain = options.retain_graph || options.create_graph,
          .record = options.create_graph,
          .wanted = &wanted,
          .hooks = options.hooks};
  for (auto node = order.rbegin(); node != order.rend(); ++node) {  // oldest first: inputs are decided before readers
    bool leads = wanted.contains(node->get());
    for (const InputEdge& input : (*node)->inputs) leads = leads || run.only.contains(input.node.get());
    if (leads) run.only.insert(node->get());
  }
  if (!run.only.empty()) propagate(order, grads, run);

  std::vector<Tensor> result;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Tensor g = wanted[inputs[i].node().get()];
    if (!g.defined() && !options.allow_unused)
      fail<GraphError>("grad: no output depends on input {} (allow_unused)\n  {}", i, describe(inputs[i]));
    result.push_back(std::move(g));
  }
  return result;
}

}  // namespace gradus
