#include "tools/visualize/maximise.hpp"

#include <cmath>

#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "data/random.hpp"
#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/cat/cat.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"
#include "tools/visualize/layers.hpp"

namespace gradus::program {
namespace {

/// x moved round its edge by `shift` along `dim`.
Tensor rolled(const Tensor& x, std::int64_t dim, std::int64_t shift) {
  const std::int64_t n = x.size(dim), at = ((-shift) % n + n) % n;
  if (at == 0) return x;
  return cat({slice(x, dim, at, n), slice(x, dim, 0, at)}, dim);
}

}  // namespace

Tensor maximise(const std::function<Tensor(const Tensor& x)>& score, const MaximiseOptions& o,
                const std::function<bool(int step, double score)>& each) {
  check(o.steps > 0 && o.size > 0 && o.rate > 0, "maximise: steps, size and rate must be positive, got {}, {} and {}",
        o.steps, o.size, o.rate);
  Generator generator{o.seed, 0};
  data::Random random(o.seed, data::Purpose::kAugment, 0, 0);
  Tensor x = affine(to(randn({1, 3, o.size, o.size}, {}, generator), o.device), 0.1, 0);
  for (int step = 0; step < o.steps; ++step) {
    const auto draw = [&] {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(2 * o.jitter + 1))) - o.jitter;
    };
    const std::int64_t down = draw(), right = draw();
    const Tensor moved = rolled(rolled(x, 2, down), 3, right).detach().clone();
    set_requires_grad(moved);
    const Tensor value = score(moved);
    const Tensor g = grad({value}, {moved})[0];
    const NoGrad no_grad;
    const double spread = std::sqrt(mean(square(g)).item());
    Tensor next = affine(moved.detach(), 1 - o.decay, 0);
    if (spread > 0) next = add(next, affine(g, o.rate / spread, 0));
    if (o.blur_every > 0 && step % o.blur_every == o.blur_every - 1)
      next = avg_pool2d(next, {.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false});
    x = rolled(rolled(next, 2, -down), 3, -right).detach();
    if (each && !each(step, value.item())) throw Interrupted("stopped");
  }
  return x;
}

Tensor class_score(Module& net, const Tensor& x, std::int64_t target) {
  const Tensor logits = net(x);
  check(target >= 0 && target < logits.size(1), "--class: {} is none of the {} classes", target, logits.size(1));
  return select(select(logits, 1, target), 0, 0);
}

Tensor feature_score(Module& net, const Tensor& x, const std::string& layer, std::int64_t feature) {
  LayerOutputs layers;
  net(x);
  const Tensor maps = layers.at(layer);
  check(feature >= 0 && feature < maps.size(1), "--feature: {} is none of the {} of layer {}", feature, maps.size(1),
        layer);
  return mean(select(maps, 1, feature));
}

}  // namespace gradus::program
