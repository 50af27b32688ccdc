#include "autograd/recompute.hpp"

#include "autograd/engine.hpp"
#include "core/random.hpp"

namespace gradus {
namespace {

thread_local bool second_run = false;

struct RecomputeNode final : Node {
  std::function<Tensor(const Tensor&)> fn;
  Saved x;
  std::vector<Tensor> parameters;  // leaves: they keep nothing alive but themselves
  Generator random;                // as it was before the first run

  const char* name() const override { return "recompute"; }
  bool twice_differentiable() const override { return false; }
  std::int64_t saved_bytes() const override { return x.bytes(); }
  void release() override {
    x.reset();
    fn = nullptr;
  }

  Grads backward(const Tensor& gy) override {
    const GradMode on(true);
    const Tensor input = x.get(*this).detach();
    if (needs(0)) set_requires_grad(input);
    const Generator now = std::exchange(default_generator(), random);
    const bool outer = std::exchange(second_run, true);
    Tensor y;
    try {
      y = fn(input);
    } catch (...) {
      second_run = outer;
      default_generator() = now;
      throw;
    }
    second_run = outer;
    default_generator() = now;

    std::vector<Tensor> wanted;
    if (needs(0)) wanted.push_back(input);
    for (const Tensor& p : parameters)
      if (p.requires_grad()) wanted.push_back(p);
    Grads inner = grad({y}, wanted, {.seeds = {gy}, .allow_unused = true});
    Grads g;
    std::size_t next = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) g.push_back(needs(i) ? inner[next++] : Tensor());
    return g;
  }
};

}  // namespace

Tensor recompute(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x, const std::vector<Tensor>& parameters) {
  std::vector<Tensor> inputs{x};
  inputs.insert(inputs.end(), parameters.begin(), parameters.end());
  if (!recording(inputs)) return fn(x);
  auto node = std::make_shared<RecomputeNode>();
  node->fn = fn;
  node->x = x;
  node->parameters = parameters;
  node->random = default_generator();
  Tensor y;
  {
    const NoGrad off;
    y = fn(x).detach();
  }
  attach(y, std::move(node), inputs);
  return y;
}

bool recomputing() { return second_run; }

}  // namespace gradus
