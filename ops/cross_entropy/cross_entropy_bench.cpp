#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"

namespace gradus {

void bench_cross_entropy(BenchList& list) {
  for (const auto& [label, shape] : {std::pair{"256x1000", Shape{256, 1000}}, std::pair{"128x10", Shape{128, 10}}}) {
    const Tensor x = randn(shape), target = zeros({shape[0]}, {.dtype = DType::i64});
    set_requires_grad(x);
    const auto n = static_cast<double>(x.numel());
    for (double smoothing : {0.0, 0.1})
      list.push_back({"cross_entropy with backward", std::string(label) + (smoothing > 0 ? ", smoothed" : ""), 40 * n,
                      12 * n, [=] { grad({cross_entropy(x, target, {.label_smoothing = smoothing})}, {x}); }});
  }
}

}  // namespace gradus
