#include "tools/visualize/attribution.hpp"

#include <algorithm>
#include <cstring>

#include "autograd/engine.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/view/view.hpp"
#include "tools/visualize/layers.hpp"
#include "tools/visualize/walk_back.hpp"

namespace gradus::program {
namespace {

/// A leaf with x's values.
Tensor leaf_of(const Tensor& x) {
  check<ShapeError>(x.rank() == 4 && x.size(0) == 1, "visualize: takes one picture [1, C, H, W]\n{}",
                    describe({{"x", &x}}));
  Tensor leaf = x.detach().clone();
  set_requires_grad(leaf);
  return leaf;
}

void check_target(const Tensor& logits, std::int64_t target) {
  check(target >= 0 && target < logits.size(1), "--class: {} is none of the {} classes", target, logits.size(1));
}

Tensor logit(const Tensor& logits, std::int64_t target) {
  check_target(logits, target);
  return select(select(logits, 1, target), 0, 0);
}

/// One at the target's logit.
Tensor one_hot(const Tensor& logits, std::int64_t target) {
  check_target(logits, target);
  Tensor seed = zeros(logits.shape(), {.dtype = logits.dtype(), .device = logits.device()});
  select(select(seed, 1, target), 0, 0).fill_(1);
  return seed;
}

}  // namespace

Tensor input_gradient(Module& net, const Tensor& x, std::int64_t target) {
  const Tensor leaf = leaf_of(x);
  return grad({logit(net(leaf), target)}, {leaf})[0];
}

Tensor saliency_map(const Tensor& gradient) {
  const NoGrad no_grad;
  return select(max(abs(gradient), {1}), 0, 0);
}

Tensor guided_gradient(Module& net, const Tensor& x, std::int64_t target) {
  const Tensor leaf = leaf_of(x);
  LayerOutputs layers;
  const Tensor logits = net(leaf);
  bool any = false;
  const Tensor g = walk_back(logits, one_hot(logits, target), leaf, [&](Node& node, const Tensor& gy) {
    const bool rectified = std::strcmp(node.name(), "relu") == 0 || layers.is_rectified(node);
    any = any || rectified;
    return node.backward(rectified ? relu(gy) : gy);
  });
  check(any, "guided: this network has no rectifiers, so it would be the plain gradient");
  return g;
}

Tensor grad_cam(Module& net, const Tensor& x, std::int64_t target, const std::string& layer) {
  const Tensor leaf = leaf_of(x);
  LayerOutputs layers;
  const Tensor logits = net(leaf);
  const std::string at = layer.empty() ? layers.last_map(logits.size(1)) : layer;
  const Tensor maps = layers.at(at);
  check(maps.rank() == 4, "gradcam: layer {} gives no map but {}", at, describe(maps));
  const Tensor g = grad({logit(logits, target)}, {maps})[0];
  const NoGrad no_grad;
  return select(relu(sum(mul(maps.detach(), mean(g, {2, 3}, true)), {1})), 0, 0);
}

Tensor occlusion_map(Module& net, const Tensor& x, std::int64_t target, std::int64_t patch, std::int64_t stride) {
  check(patch > 0 && stride > 0 && stride <= patch, "occlusion: a square of {} moved by {} leaves pixels uncovered",
        patch, stride);
  const NoGrad no_grad;
  const std::int64_t height = x.size(2), width = x.size(3);
  const auto steps = [&](std::int64_t side) { return (side + patch - 2) / stride + 1; };
  const std::int64_t rows = steps(height), columns = steps(width);
  Tensor map = empty({rows, columns});
  float* out = map.data<float>();
  constexpr std::int64_t kBatch = 32;
  for (std::int64_t begin = 0; begin < rows * columns; begin += kBatch) {
    const std::int64_t n = std::min(kBatch, rows * columns - begin);
    Tensor batch = expand(x, {n, x.size(1), height, width}).clone();
    for (std::int64_t i = 0; i < n; ++i) {
      // The first square shows one row and column of pixels, the last at least one.
      const std::int64_t top = (begin + i) / columns * stride - patch + 1;
      const std::int64_t left = (begin + i) % columns * stride - patch + 1;
      const std::int64_t y0 = std::max<std::int64_t>(top, 0), y1 = std::min(top + patch, height);
      const std::int64_t x0 = std::max<std::int64_t>(left, 0), x1 = std::min(left + patch, width);
      if (y1 > y0 && x1 > x0) slice(slice(select(batch, 0, i), 1, y0, y1), 2, x0, x1).fill_(0);
    }
    const Tensor p = softmax(net(batch), 1);
    check_target(p, target);
    const std::vector<float> column = select(p, 1, target).to_vector<float>();
    std::copy(column.begin(), column.end(), out + begin);
  }
  return map;
}

}  // namespace gradus::program
