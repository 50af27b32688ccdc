#include "zoo/resnet/preactivation.hpp"

#include "nn/layers/conv_bn.hpp"
#include "ops/pointwise/binary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {

PreactBlock::PreactBlock(std::int64_t in, std::int64_t width, std::int64_t out, std::int64_t stride, bool bottleneck)
    : bn1(in),
      // A bottleneck's stride sits on its first 1x1, as in the authors' code.
      conv1(in, width, {.kernel = bottleneck ? 1 : 3, .stride = stride, .padding = bottleneck ? 0 : 1, .bias = false}),
      bn2(width),
      conv2(width, bottleneck ? width : out, {.kernel = 3, .padding = 1, .bias = false}) {
  if (bottleneck) {
    bn3.emplace(width);
    conv3.emplace(width, out, Conv2dConfig{.kernel = 1, .bias = false});
  }
  if (stride != 1 || in != out) downsample.add(Conv2d(in, out, {.kernel = 1, .stride = stride, .bias = false}));
}

Tensor PreactBlock::forward(const Tensor& x) {
  const Tensor active = bn1.relu(x);
  const Tensor shortcut = downsample.empty() ? x : downsample(active);
  const Tensor inner = conv_bn_relu(conv1, bn2, active);
  return shortcut + (conv3 ? (*conv3)(conv_bn_relu(conv2, *bn3, inner)) : conv2(inner));
}

CifarPreactResNet::CifarPreactResNet(int n, bool bottleneck, const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 16, {.kernel = 3, .padding = 1, .bias = false}),
      bn(bottleneck ? 256 : 64),
      fc(bottleneck ? 256 : 64, or_paper(options.classes, 10)) {
  std::int64_t in = 16;
  auto stage = [&](Sequential& layer, std::int64_t width, std::int64_t stride) {
    const std::int64_t out = bottleneck ? 4 * width : width;
    for (int b = 0; b < n; ++b, in = out) layer.add(PreactBlock(in, width, out, b == 0 ? stride : 1, bottleneck));
  };
  stage(layer1, 16, 1);
  stage(layer2, 32, 2);
  stage(layer3, 64, 2);
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor CifarPreactResNet::forward(const Tensor& x) {
  const Tensor y = layer3(layer2(layer1(conv1(x))));
  return fc(flatten(avgpool(bn.relu(y))));
}

PreactResNet::PreactResNet(const std::vector<int>& blocks, bool bottleneck, const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 64, {.kernel = 7, .stride = 2, .padding = 3, .bias = false}),
      bn1(64),
      maxpool(3, {.stride = 2, .padding = 1}),
      bn(bottleneck ? 2048 : 512),
      fc(bottleneck ? 2048 : 512, or_paper(options.classes, 1000)) {
  std::int64_t in = 64;
  auto stage = [&](Sequential& layer, int count, std::int64_t width, std::int64_t stride) {
    const std::int64_t out = bottleneck ? 4 * width : width;
    for (int b = 0; b < count; ++b, in = out) layer.add(PreactBlock(in, width, out, b == 0 ? stride : 1, bottleneck));
  };
  stage(layer1, blocks[0], 64, 1);
  stage(layer2, blocks[1], 128, 2);
  stage(layer3, blocks[2], 256, 2);
  stage(layer4, blocks[3], 512, 2);
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor PreactResNet::forward(const Tensor& x) {
  Tensor y = maxpool(conv_bn_relu(conv1, bn1, x));
  y = layer4(layer3(layer2(layer1(y))));
  return fc(flatten(avgpool(bn.relu(y))));
}

namespace {

template <int n, bool bottleneck>
std::unique_ptr<Classifier> cifar(const ModelOptions& options) {
  return std::make_unique<CifarPreactResNet>(n, bottleneck, options);
}
template <bool bottleneck, int b1, int b2, int b3, int b4>
std::unique_ptr<Classifier> imagenet(const ModelOptions& options) {
  return std::make_unique<PreactResNet>(std::vector{b1, b2, b3, b4}, bottleneck, options);
}

}  // namespace

std::vector<ModelInfo> preactivation_models() {
  std::vector<ModelInfo> rows;
  auto row = [&](const char* name, const char* title, std::int64_t input, double top1, double top5, auto build) {
    rows.push_back({.name = name,
                    .family = "preresnet",
                    .title = title,
                    .year = 2016,
                    .paper = "He et al. 2016, Identity Mappings in Deep Residual Networks, arXiv:1603.05027",
                    .input = input,
                    .smallest = 1,
                    .classes = input == 32 ? 10 : 1000,
                    .naming = "torchvision",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  };
  row("cifar_preresnet110", "pre-activation ResNet-110", 32, 6.37, -1, cifar<18, false>);
  row("cifar_preresnet164", "pre-activation ResNet-164", 32, 5.46, -1, cifar<18, true>);
  row("preresnet18", "pre-activation ResNet-18", 224, -1, -1, imagenet<false, 2, 2, 2, 2>);
  row("preresnet50", "pre-activation ResNet-50", 224, -1, -1, imagenet<true, 3, 4, 6, 3>);
  row("preresnet152", "pre-activation ResNet-152", 224, -1, -1, imagenet<true, 3, 8, 36, 3>);
  return rows;
}

}  // namespace gradus::zoo
