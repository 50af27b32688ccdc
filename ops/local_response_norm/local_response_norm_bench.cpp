#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/local_response_norm/local_response_norm.hpp"

namespace gradus {

void bench_local_response_norm(BenchList& list) {
  const Tensor x = randn({16, 96, 55, 55}, {.format = Format::channels_last}), leaf = x.detach();
  set_requires_grad(leaf);
  const LocalResponseNormOptions alexnet{.size = 5, .alpha = 5e-4, .beta = 0.75, .k = 2};
  const Tensor y = local_response_norm(leaf, alexnet), seed = randn(y.shape(), {.format = Format::channels_last});
  const auto n = static_cast<double>(x.numel());
  list.push_back(
      {"local_response_norm", "AlexNet's first, batch 16", 12 * n, 8 * n, [=] { local_response_norm(x, alexnet); }});
  list.push_back({"local_response_norm.backward", "AlexNet's first, batch 16", 24 * n, 12 * n,
                  [=] { grad({y}, {leaf}, {.seeds = {seed}, .retain_graph = true}); }});
}

}  // namespace gradus
