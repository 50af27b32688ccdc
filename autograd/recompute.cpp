#include "autograd/recompute.hpp"

#include <algorithm>
#include <utility>

#include "autograd/autocast.hpp"
#include "autograd/engine.hpp"
#include "core/random.hpp"

namespace gradus {
namespace {

thread_local bool second_run = false;

struct RecomputeNode final : Node {
  std::function<Tensor(const Tensor&)> fn;
  Saved x;
  std::vector<Saved> parameters;
  Generator random;         // as it was before the first run
  DType cast = DType::f32;  // the Autocast scope it was in

  const char* name() const override { return "recompute"; }
  bool twice_differentiable() const override { return false; }
  std::int64_t saved_bytes() const override { return x.bytes(); }
  void release() override {
    x.reset();
    parameters.clear();
    fn = nullptr;
  }

  Grads backward(const Tensor& gy) override {
    const GradMode on(true);
    const Autocast as_before(cast);
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

    Grads g(inputs.size());
    if (!y.requires_grad()) return g;
    std::vector<Tensor> wanted;
    std::vector<std::size_t> at;  // which input wanted[k] is
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!needs(i)) continue;
      wanted.push_back(i == 0 ? input : parameters[i - 1].get(*this));
      at.push_back(i);
    }
    Grads found = grad({y}, wanted, {.seeds = {gy}, .allow_unused = true, .hooks = false});
    for (std::size_t k = 0; k < at.size(); ++k) g[at[k]] = std::move(found[k]);
    return g;
  }
};

}  // namespace

Tensor recompute(const std::function<Tensor(const Tensor&)>& fn, const Tensor& x,
                 const std::vector<Tensor>& parameters) {
  std::vector<Tensor> inputs{x};
  for (const Tensor& p : parameters)  // each once: its gradient is the sum over all uses
    if (std::none_of(inputs.begin() + 1, inputs.end(), [&](const Tensor& q) { return q.same(p); })) inputs.push_back(p);
  if (!recording(inputs)) return fn(x);
  auto node = std::make_shared<RecomputeNode>();
  node->fn = fn;
  node->x = x;
  node->parameters.assign(inputs.begin() + 1, inputs.end());
  node->random = default_generator();
  node->cast = autocast_dtype();
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
