#include "tools/evaluate/dense.hpp"

#include "nn/layers/linear.hpp"
#include "nn/layers/pool.hpp"
#include "ops/conv2d/conv2d.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"

namespace gradus::program {
namespace {

/// Keeps the map that an adaptive pooling brings to the s x s of the linear layers behind it, s > 1.
class MapBeforeHead final : public ForwardObserver {
 public:
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor& y) override {
    if (dynamic_cast<AdaptiveAvgPool2d*>(&module) == nullptr || y.size(2) * y.size(3) == 1) return;
    map = x;
    height = y.size(2);
    width = y.size(3);
  }
  Tensor map;
  std::int64_t height = 0, width = 0;
};

}  // namespace

Tensor dense_logits(Module& net, const Tensor& x) {
  const NoGrad no_grad;
  MapBeforeHead head;
  const Tensor logits = net(x);
  if (!head.map) return logits;
  check<ShapeError>(head.map.size(2) >= head.height && head.map.size(3) >= head.width,
                    "dense: the picture is too small: the linear layers see {} x {} places\n{}", head.height,
                    head.width, describe({{"map", &head.map}}));
  Tensor y = head.map;
  bool first = true;
  for (const NamedModule& m : net.named_modules()) {
    const auto* linear = dynamic_cast<const Linear*>(m.module);
    if (linear == nullptr) continue;
    const Tensor& w = linear->weight;
    if (first) {
      y = conv2d(y, reshape(w, {w.size(0), y.size(1), head.height, head.width}), linear->bias);
    } else {
      y = conv2d(relu(y), reshape(w, {w.size(0), w.size(1), 1, 1}), linear->bias);
    }
    first = false;
  }
  return mean(y, {2, 3});
}

}  // namespace gradus::program
