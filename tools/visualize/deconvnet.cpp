#include "tools/visualize/deconvnet.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "ops/pointwise/unary.hpp"
#include "ops/view/view.hpp"
#include "tools/visualize/layers.hpp"
#include "tools/visualize/walk_back.hpp"

namespace gradus::program {
namespace {

/// Operators that are linear in their input, whose transpose is their gradient. Max pooling is among them: once its
/// switches are set it only moves values.
bool is_transposable(std::string_view op) {
  constexpr std::array<std::string_view, 13> kOps{"conv2d",     "max_pool2d", "avg_pool2d", "linear",  "cat",
                                                  "reshape",    "flatten",    "view",       "permute", "transpose",
                                                  "contiguous", "narrow",     "slice"};
  return std::find(kOps.begin(), kOps.end(), op) != kOps.end();
}

Grads deconvolution(Node& node, const Tensor& gy) {
  const std::string_view op = node.name();
  if (op == "relu") return {relu(gy)};
  if (op == "local_response_norm" || op == "dropout") return {gy};
  check(is_transposable(op),
        "deconv: {}{} ({}) has no inverse in a deconvolutional network, which is made of convolutions, rectifiers and "
        "max "
        "pooling; guided or gradcam work here",
        node.where.empty() ? "" : "layer ", node.where.empty() ? "an operator" : node.where, op);
  return node.backward(gy);
}

}  // namespace

Tensor deconvolve(Module& net, const Tensor& x, const std::string& layer, const Place& place) {
  check<ShapeError>(x.rank() == 4 && x.size(0) == 1, "deconv: takes one picture [1, C, H, W]\n{}",
                    describe({{"x", &x}}));
  const Tensor leaf = x.detach().clone();
  set_requires_grad(leaf);
  LayerOutputs layers;
  net(leaf);
  const Tensor maps = layers.at(layer);
  check(maps.rank() == 4, "deconv: layer {} gives no map but {}", layer, describe(maps));
  check(place.feature >= 0 && place.feature < maps.size(1) && place.row >= 0 && place.row < maps.size(2) &&
            place.column >= 0 && place.column < maps.size(3),
        "deconv: feature {} at ({}, {}) is outside layer {}, {}", place.feature, place.row, place.column, layer,
        to_string(maps.shape()));
  const auto at = [&](const Tensor& t) {
    return select(select(select(select(t, 3, place.column), 2, place.row), 1, place.feature), 0, 0);
  };
  const NoGrad no_grad;
  const Tensor seed =
      zeros(maps.shape(), {.dtype = maps.dtype(), .device = maps.device(), .format = Format::channels_last});
  at(seed).fill_(at(maps.detach()).item());
  return walk_back(maps, seed, leaf, deconvolution);
}

void TopActivations::add(Module& net, const Tensor& x, std::int64_t first) {
  const NoGrad no_grad;
  LayerOutputs layers;
  net(x);
  const Tensor maps = layers.at(layer_);
  check(maps.rank() == 4, "deconv: layer {} gives no map but {}", layer_, describe(maps));
  const std::int64_t features = maps.size(1), area = maps.size(2) * maps.size(3);
  top_.resize(static_cast<std::size_t>(features));
  const std::vector<float> values = maps.to_vector<float>();  // [N, C, h, w]
  for (std::int64_t n = 0; n < maps.size(0); ++n)
    for (std::int64_t c = 0; c < features; ++c) {
      const float* map = values.data() + (n * features + c) * area;
      const std::int64_t best = std::max_element(map, map + area) - map;
      std::vector<Activation>& top = top_[static_cast<std::size_t>(c)];
      const Activation a{first + n, {c, best / maps.size(3), best % maps.size(3)}, map[best]};
      const auto stronger = [](const Activation& p, const Activation& q) { return p.value > q.value; };
      if (a.value <= 0 || (top.size() == count_ && !stronger(a, top.back()))) continue;
      top.insert(std::upper_bound(top.begin(), top.end(), a, stronger), a);
      if (top.size() > count_) top.pop_back();
    }
}

std::vector<std::int64_t> TopActivations::strongest(std::size_t count) const {
  std::vector<std::int64_t> order(top_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto strength = [&](std::int64_t f) { return of(f).empty() ? 0.0f : of(f).front().value; };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return strength(a) > strength(b); });
  order.resize(std::min(count, order.size()));
  return order;
}

Extent extent_of(const Tensor& x) {
  const std::vector<float> v = x.to_vector<float>();
  const std::int64_t height = x.size(2), width = x.size(3);
  Extent e{height, width, 0, 0};
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (v[i] == 0) continue;
    const auto row = static_cast<std::int64_t>(i) / width % height, column = static_cast<std::int64_t>(i) % width;
    e = {std::min(e.top, row), std::min(e.left, column), std::max(e.bottom, row + 1), std::max(e.right, column + 1)};
  }
  return e.bottom == 0 ? Extent{0, 0, height, width} : e;
}

}  // namespace gradus::program
