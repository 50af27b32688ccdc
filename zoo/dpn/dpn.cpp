#include "zoo/dpn/dpn.hpp"

#include "nn/layers/conv_bn.hpp"
#include "ops/cat/cat.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/view/view.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {

constexpr DpnConfig kDpn68{.stem = 10,
                           .stem_kernel = 3,
                           .inner = 128,
                           .residual = 64,
                           .increment = {16, 32, 32, 64},
                           .blocks = {3, 4, 12, 3},
                           .groups = 32};
constexpr DpnConfig kDpn92{.stem = 64,
                           .stem_kernel = 7,
                           .inner = 96,
                           .residual = 256,
                           .increment = {16, 32, 24, 128},
                           .blocks = {3, 4, 20, 3},
                           .groups = 32};

/// The stem: convolution, batch norm, ReLU, max pool.
struct DpnStem : Module {
  DpnStem(std::int64_t in, std::int64_t out, std::int64_t kernel)
      : conv(in, out, {.kernel = kernel, .stride = 2, .padding = kernel / 2, .bias = false}),
        bn(out, {.eps = 1e-3}),
        pool(3, {.stride = 2, .padding = 1}) {}
  Tensor forward(const Tensor& x) override { return pool(conv_bn_relu(conv, bn, x)); }
  std::string type_name() const override { return "DpnStem"; }
  Conv2d conv;
  BatchNorm2d bn;
  MaxPool2d pool;
  GRADUS_MEMBERS(conv, bn, pool)
};

/// The end: batch norm and ReLU over both paths.
struct BnRelu : Module {
  explicit BnRelu(std::int64_t channels) : bn(channels, {.eps = 1e-3}) {}
  Tensor forward(const Tensor& x) override { return bn.relu(x); }
  std::string type_name() const override { return "BnRelu"; }
  BatchNorm2d bn;
  GRADUS_MEMBERS(bn)
};

}  // namespace

DpnBlock::DpnBlock(std::int64_t in, std::int64_t inner, std::int64_t residual, std::int64_t increment,
                   std::int64_t groups, std::int64_t stride, bool first)
    : c1x1_a(in, inner, {.kernel = 1, .bias = false}),
      c3x3_b(inner, inner, {.kernel = 3, .stride = stride, .padding = 1, .groups = groups, .bias = false}),
      c1x1_c(inner, residual + increment, {.kernel = 1, .bias = false}),
      residual_(residual),
      stride_(stride) {
  if (first) c1x1_w.emplace(in, residual + 2 * increment, Conv2dConfig{.kernel = 1, .stride = stride, .bias = false});
}

Tensor DpnBlock::forward(const Tensor& x) {
  const auto halves = [this](const Tensor& both) {
    return std::pair{narrow(both, 1, 0, residual_), narrow(both, 1, residual_, both.size(1) - residual_)};
  };
  const auto [residual, dense] = halves(c1x1_w ? (*c1x1_w)(x) : x);
  const auto [added, appended] = halves(c1x1_c(c3x3_b(c1x1_a(x))));
  return cat({residual + added, dense, appended}, 1);
}

void DpnBlock::members(MemberVisitor& visit) {
  visit(stride_ == 1 ? "c1x1_w_s1" : "c1x1_w_s2", c1x1_w);
  visit("c1x1_a", c1x1_a);
  visit("c3x3_b", c3x3_b);
  visit("c1x1_c", c1x1_c);
}

namespace {

/// Channels of both paths after the last block of `stage`: 2 + blocks increments, the first block giving three of them.
std::int64_t width_after(const DpnConfig& c, int stage) {
  return (c.residual << stage) + c.increment[stage] * (2 + c.blocks[stage]);
}

}  // namespace

Dpn::Dpn(const DpnConfig& c, const ModelOptions& options)
    : last_linear(width_after(c, 3), or_paper(options.classes, 1000), {.kernel = 1}) {
  const std::int64_t groups = or_paper(options.cardinality, c.groups);
  features.add("conv1_1", DpnStem(or_paper(options.image_channels, 3), c.stem, c.stem_kernel));
  std::int64_t in = c.stem;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t residual = c.residual << stage, increment = c.increment[stage];
    for (int b = 0; b < c.blocks[stage]; ++b) {
      const bool first = b == 0;
      features.add(fmt::format("conv{}_{}", stage + 2, b + 1),
                   DpnBlock(in, c.inner << stage, residual, increment, groups, first && stage > 0 ? 2 : 1, first));
      in = residual + increment * (3 + b);
    }
  }
  features.add("conv5_bn_ac", BnRelu(in));
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor Dpn::forward(const Tensor& x) { return flatten(last_linear(avg_pool(features(x)))); }

namespace {
template <const DpnConfig& config>
std::unique_ptr<Classifier> dpn(const ModelOptions& options) {
  return std::make_unique<Dpn>(config, options);
}
}  // namespace

std::vector<ModelInfo> dpn_models() {
  std::vector<ModelInfo> rows;
  auto row = [&](const char* name, const char* title, double top1, double top5, auto build) {
    rows.push_back({.name = name,
                    .family = "dpn",
                    .title = title,
                    .year = 2017,
                    .paper = "Chen et al. 2017, Dual Path Networks, arXiv:1707.01629",
                    .input = 224,
                    .smallest = 1,
                    .classes = 1000,
                    .naming = "pretrainedmodels",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  };
  row("dpn68", "DPN-68", 23.57, 6.93, dpn<kDpn68>);
  row("dpn92", "DPN-92", 20.73, 5.37, dpn<kDpn92>);
  return rows;
}

}  // namespace gradus::zoo
