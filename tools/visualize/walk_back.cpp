#include "tools/visualize/walk_back.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/error.hpp"
#include "ops/pointwise/binary.hpp"

namespace gradus::program {
namespace {

/// The nodes on the way from y to x, newest first.
std::vector<Node*> nodes_between(const Tensor& y, const Tensor& x) {
  std::vector<Node*> found{y.node().get()};
  std::unordered_set<Node*> seen(found.begin(), found.end());
  for (std::size_t i = 0; i < found.size(); ++i)
    for (const InputEdge& input : found[i]->inputs)
      if (input.node && seen.insert(input.node.get()).second) found.push_back(input.node.get());
  std::sort(found.begin(), found.end(), [](const Node* a, const Node* b) { return a->born < b->born; });
  // Oldest first, so that a node's inputs are decided before it.
  std::unordered_set<Node*> leading{x.node().get()};
  std::vector<Node*> between;
  for (Node* node : found) {
    const bool leads = leading.contains(node) ||
                       std::any_of(node->inputs.begin(), node->inputs.end(),
                                   [&](const InputEdge& input) { return leading.contains(input.node.get()); });
    if (!leads) continue;
    leading.insert(node);
    between.push_back(node);
  }
  std::reverse(between.begin(), between.end());
  return between;
}

/// Tells the nodes' rules, until destroyed, which inputs lead to x: parameters do not.
class OnlyTowards {
 public:
  explicit OnlyTowards(const std::vector<Node*>& nodes) : nodes_(nodes) {
    const std::unordered_set<Node*> kept(nodes.begin(), nodes.end());
    for (Node* node : nodes_)
      for (InputEdge& input : node->inputs) input.pruned = !kept.contains(input.node.get());
  }
  ~OnlyTowards() {
    for (Node* node : nodes_)
      for (InputEdge& input : node->inputs) input.pruned = false;
  }
  OnlyTowards(const OnlyTowards&) = delete;
  OnlyTowards& operator=(const OnlyTowards&) = delete;

 private:
  const std::vector<Node*>& nodes_;
};

}  // namespace

Tensor walk_back(const Tensor& y, const Tensor& seed, const Tensor& x, const BackRule& rule) {
  check<GraphError>(y.node() != nullptr && x.node() != nullptr, "walk back: there is no tape between {} and {}",
                    describe(y), describe(x));
  const NoGrad no_grad;
  const std::vector<Node*> nodes = nodes_between(y, x);
  const OnlyTowards pruned(nodes);
  std::unordered_map<Node*, Tensor> signals{{y.node().get(), seed}};
  for (Node* node : nodes) {
    const auto found = signals.find(node);
    if (found == signals.end()) continue;
    if (node == x.node().get()) return found->second;
    const Grads g = rule(*node, found->second);
    signals.erase(found);
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (!g[i].defined() || !node->needs(i)) continue;
      Tensor& sum = signals[node->inputs[i].node.get()];
      sum = sum.defined() ? add(sum, g[i]) : g[i];
    }
  }
  fail<GraphError>("walk back: nothing reaches {}", describe(x));
}

}  // namespace gradus::program
