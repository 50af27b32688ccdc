#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/se_scale/se_scale.hpp"

namespace gradus {

void bench_se_scale(BenchList& list) {
  const TensorOptions last{.format = Format::channels_last};
  const Tensor x = randn({8, 256, 56, 56}, last), s = rand({8, 256, 1, 1}), residual = randn(x.shape(), last),
               seed = randn(x.shape(), last);
  const Tensor leaf = x.detach(), gate = s.detach(), shortcut = residual.detach();
  for (const Tensor& t : {leaf, gate, shortcut}) set_requires_grad(t);
  const Tensor y = se_scale(leaf, gate, {.relu = true}, shortcut);
  const auto n = static_cast<double>(x.numel());
  list.push_back({"se_scale", "256 ch @56, batch 8", 3 * n, 12 * n, [=] { se_scale(x, s, {.relu = true}, residual); }});
  list.push_back({"se_scale.backward", "256 ch @56, batch 8", 4 * n, 16 * n, [=] {
                    grad({y}, {leaf, gate, shortcut}, {.seeds = {seed}, .retain_graph = true});
                  }});
}

}  // namespace gradus
