#include "zoo/resnet/cifar_resnet.hpp"

#include "nn/layers/conv_bn.hpp"
#include "ops/pad/pad.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/view/view.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {

Tensor shortcut_a(const Tensor& x, std::int64_t out, std::int64_t stride) {
  Tensor y = x;
  if (stride != 1) y = slice(slice(y, 2, 0, x.size(2), stride), 3, 0, x.size(3), stride);
  const std::int64_t added = out - x.size(1);
  return added == 0 ? y : pad(y, {0, 0, 0, 0, added / 2, added - added / 2});
}

CifarBlock::CifarBlock(std::int64_t in, std::int64_t out, std::int64_t stride, const CifarResNetConfig& config,
                       int index, const StochasticDepth* depth)
    : conv1(in, out, {.kernel = 3, .stride = stride, .padding = 1, .bias = false}),
      bn1(out),
      conv2(out, out, {.kernel = 3, .padding = 1, .bias = false}),
      bn2(out),
      out_(out),
      stride_(stride),
      residual_(config.residual),
      index_(index),
      depth_(depth) {
  if (config.reduction > 0) se_module.emplace(out, config.reduction);
}

Tensor CifarBlock::forward(const Tensor& x) {
  if (!residual_) return conv_bn_relu(conv2, bn2, conv_bn_relu(conv1, bn1, x));

  const Tensor shortcut = shortcut_a(x, out_, stride_);
  if (depth_ && is_training() && depth_->drops(index_)) return relu(shortcut);

  const Tensor y = conv_bn_relu(conv1, bn1, x);
  if (depth_ && !is_training()) return relu(conv_bn(conv2, bn2, y) * depth_->survival(index_) + shortcut);
  if (se_module) return se_module->add_relu(conv_bn(conv2, bn2, y), shortcut);
  return conv_bn_relu(conv2, bn2, y, shortcut);
}

std::string CifarBlock::options() const {
  return depth_ ? fmt::format("survival {:.3f}", depth_->survival(index_)) : "";
}

CifarResNet::CifarResNet(const CifarResNetConfig& config, const ModelOptions& options)
    : depth(config.survival != 1 ? std::make_unique<StochasticDepth>(3 * config.n, config.survival) : nullptr),
      conv1(or_paper(options.image_channels, 3), 16, {.kernel = 3, .padding = 1, .bias = false}),
      bn1(16),
      linear(64, or_paper(options.classes, 10)) {
  // Section 4.2's table: output map size 32, 16, 8; layers 1 + 2n, 2n, 2n; filters 16, 32, 64.
  int index = 0;
  std::int64_t in = 16;
  auto stage = [&](Sequential& layer, std::int64_t out, std::int64_t stride) {
    for (int b = 0; b < config.n; ++b, in = out)
      layer.add(CifarBlock(in, out, b == 0 ? stride : 1, config, index++, depth.get()));
  };
  stage(layer1, 16, 1);
  stage(layer2, 32, 2);
  stage(layer3, 64, 2);
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor CifarResNet::forward(const Tensor& x) {
  Tensor y = conv_bn_relu(conv1, bn1, x);
  y = layer3(layer2(layer1(y)));
  return linear(flatten(avgpool(y)));
}

namespace {

template <int n>
std::unique_ptr<Classifier> resnet(const ModelOptions& options) {
  return std::make_unique<CifarResNet>(CifarResNetConfig{.n = n}, options);
}
template <int n>
std::unique_ptr<Classifier> plain(const ModelOptions& options) {
  return std::make_unique<CifarResNet>(CifarResNetConfig{.n = n, .residual = false}, options);
}
template <int n>
std::unique_ptr<Classifier> stochastic(const ModelOptions& options) {
  return std::make_unique<CifarResNet>(CifarResNetConfig{.n = n, .survival = or_paper(options.survival, 0.5)}, options);
}
template <int n>
std::unique_ptr<Classifier> excited(const ModelOptions& options) {
  return std::make_unique<CifarResNet>(CifarResNetConfig{.n = n, .reduction = or_paper(options.reduction, 16)},
                                       options);
}

}  // namespace

std::vector<ModelInfo> cifar_resnet_models() {
  std::vector<ModelInfo> rows;
  auto family = [&](const char* name, int year, const char* paper, const char* naming) {
    return [=, &rows](const char* model, const char* title, double error, auto build) {
      rows.push_back({.name = model,
                      .family = name,
                      .title = title,
                      .year = year,
                      .paper = paper,
                      .input = 32,
                      .smallest = 1,
                      .classes = 10,
                      .naming = naming,
                      .top1_error = error,
                      .build = build});
    };
  };
  auto he = family("cifar_resnet", 2015,
                   "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385", "akamaster");
  he("cifar_resnet20", "ResNet-20", 8.75, resnet<3>);
  he("cifar_resnet32", "ResNet-32", 7.51, resnet<5>);
  he("cifar_resnet44", "ResNet-44", 7.17, resnet<7>);
  he("cifar_resnet56", "ResNet-56", 6.97, resnet<9>);
  he("cifar_resnet110", "ResNet-110", 6.43, resnet<18>);
  he("cifar_plain20", "plain-20", -1, plain<3>);
  he("cifar_plain32", "plain-32", -1, plain<5>);
  he("cifar_plain44", "plain-44", -1, plain<7>);
  he("cifar_plain56", "plain-56", -1, plain<9>);
  auto huang = family("cifar_resnet", 2016, "Huang et al. 2016, Deep Networks with Stochastic Depth, arXiv:1603.09382",
                      "akamaster");
  huang("cifar_sdresnet110", "ResNet-110 with stochastic depth", 5.23, stochastic<18>);
  auto hu =
      family("cifar_resnet", 2017, "Hu et al. 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507", "akamaster");
  hu("cifar_se_resnet20", "SE-ResNet-20", -1, excited<3>);
  hu("cifar_se_resnet56", "SE-ResNet-56", -1, excited<9>);
  return rows;
}

}  // namespace gradus::zoo
