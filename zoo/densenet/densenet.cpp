#include "zoo/densenet/densenet.hpp"

#include <cmath>

#include "nn/layers/conv_bn.hpp"
#include "ops/cat/concat_buffer.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {

DenseLayer::DenseLayer(std::int64_t in, std::int64_t k, bool bottleneck, double drop)
    : norm1(in),
      conv1(in, bottleneck ? 4 * k : k, {.kernel = bottleneck ? 1 : 3, .padding = bottleneck ? 0 : 1, .bias = false}),
      dropout(drop) {
  if (bottleneck) {
    norm2.emplace(4 * k);
    conv2.emplace(4 * k, k, Conv2dConfig{.kernel = 3, .padding = 1, .bias = false});
  }
}

Tensor DenseLayer::forward(const Tensor& x) {
  if (dropout.p == 0 && conv2 && runs_as_one(&*norm2)) return (*conv2)(conv_bn_relu(conv1, *norm2, norm1.relu(x)));
  if (dropout.p == 0) {
    const Tensor y = bn_relu_conv(norm1, conv1, x, norm2 ? &*norm2 : nullptr);
    return conv2 ? bn_relu_conv(*norm2, *conv2, y) : y;
  }
  const Tensor y = dropout(bn_relu_conv(norm1, conv1, x));  // section 4.2: after each convolution
  return conv2 ? dropout((*conv2)(norm2->relu(y))) : y;
}

DenseBlock::DenseBlock(int count, std::int64_t in, std::int64_t k, bool bottleneck, double dropout)
    : out_(in + count * k) {
  for (int i = 0; i < count; ++i) layers.push_back(std::make_unique<DenseLayer>(in + i * k, k, bottleneck, dropout));
}

Tensor DenseBlock::forward(const Tensor& x) {
  ConcatBuffer all(x, out_);
  for (auto& layer : layers) all.append((*layer)(all.held()));
  return all.held();
}

void DenseBlock::members(MemberVisitor& visit) {
  for (std::size_t i = 0; i < layers.size(); ++i) visit(fmt::format("denselayer{}", i + 1), *layers[i]);
}

namespace {

/// Between blocks: BN, ReLU, 1x1 to theta m channels, average 2x2.
struct Transition : Module {
  Transition(std::int64_t in, std::int64_t out) : norm(in), conv(in, out, {.kernel = 1, .bias = false}), pool(2) {}
  Tensor forward(const Tensor& x) override { return pool(bn_relu_conv(norm, conv, x)); }
  std::string type_name() const override { return "Transition"; }
  BatchNorm2d norm;
  Conv2d conv;
  AvgPool2d pool;
  GRADUS_MEMBERS(norm, conv, pool)
};

}  // namespace

DenseNet::DenseNet(const DenseNetConfig& config, const ModelOptions& options) {
  const std::int64_t image_channels = or_paper(options.image_channels, 3);
  const std::int64_t k = or_paper(options.growth_rate, config.growth_rate);
  const double compression = or_paper(options.compression, config.compression);
  check(compression > 0 && compression <= 1, "densenet: compression lies in (0, 1], got {}", compression);
  const double dropout = or_paper(options.dropout, 0);

  // The stem keeps its relation to k: 2k channels, 16 in the form without bottlenecks.
  std::int64_t width = options.growth_rate > 0 && config.bottleneck ? 2 * k : config.stem;
  if (config.small_images) {
    features.add("conv0", Conv2d(image_channels, width, {.kernel = 3, .padding = 1, .bias = false}));
  } else {
    features.add("conv0",
                 Conv2d(image_channels, width, {.kernel = 7, .stride = 2, .padding = 3, .bias = false}));  // 112
    features.add("norm0", BatchNorm2d(width));
    features.add("relu0", ReLU());
    features.add("pool0", MaxPool2d(3, {.stride = 2, .padding = 1}));  // 56
  }
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    features.add(fmt::format("denseblock{}", i + 1),
                 DenseBlock(config.layers[i], width, k, config.bottleneck, dropout));
    width += config.layers[i] * k;
    if (i + 1 == config.layers.size()) break;
    const auto kept = static_cast<std::int64_t>(std::floor(compression * static_cast<double>(width)));
    features.add(fmt::format("transition{}", i + 1), Transition(width, kept));
    width = kept;
  }
  features.add(config.small_images ? "norm_final" : "norm5", BatchNorm2d(width));
  features.add("relu_final", ReLU());  // not a module of torchvision's, but there
  classifier = std::make_unique<Linear>(width, or_paper(options.classes, config.small_images ? 10 : 1000));

  if (options.init == Init::framework) return;
  init_kaiming(*this, init::Fan::in);
  init::constant(classifier->bias, 0);
}

Tensor DenseNet::forward(const Tensor& x) { return (*classifier)(flatten(avgpool(features(x)))); }

namespace {

/// Table 1.
template <int k, int b1, int b2, int b3, int b4>
std::unique_ptr<Classifier> imagenet(const ModelOptions& options) {
  return std::make_unique<DenseNet>(DenseNetConfig{.layers = {b1, b2, b3, b4}, .growth_rate = k, .stem = 2 * k},
                                    options);
}

/// Section 3, "implementation details": depth L = 3 n + 4 without bottlenecks, 6 n + 4 with them.
template <int depth, int k, bool bc>
std::unique_ptr<Classifier> cifar(const ModelOptions& options) {
  constexpr int n = (depth - 4) / (bc ? 6 : 3);
  return std::make_unique<DenseNet>(DenseNetConfig{.layers = {n, n, n},
                                                   .growth_rate = k,
                                                   .stem = bc ? 2 * k : 16,
                                                   .bottleneck = bc,
                                                   .compression = bc ? 0.5 : 1,
                                                   .small_images = true},
                                    options);
}

}  // namespace

std::vector<ModelInfo> densenet_models() {
  std::vector<ModelInfo> rows;
  auto row = [&](const char* name, const char* title, double top1, double top5, auto build) {
    const bool small = std::string(name).starts_with("cifar_");
    rows.push_back({.name = name,
                    .family = "densenet",
                    .title = title,
                    .year = 2016,
                    .paper = "Huang et al. 2016, Densely Connected Convolutional Networks, arXiv:1608.06993",
                    .input = small ? 32 : 224,
                    .smallest = small ? 4 : 29,
                    .classes = small ? 10 : 1000,
                    .naming = small ? "gpleiss" : "torchvision",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  };
  row("densenet121", "DenseNet-121 (k = 32)", 25.02, 7.71, imagenet<32, 6, 12, 24, 16>);
  row("densenet169", "DenseNet-169 (k = 32)", 23.80, 6.85, imagenet<32, 6, 12, 32, 32>);
  row("densenet201", "DenseNet-201 (k = 32)", 22.58, 6.34, imagenet<32, 6, 12, 48, 32>);
  row("densenet264", "DenseNet-264 (k = 32)", 22.15, 6.12, imagenet<32, 6, 12, 64, 48>);
  row("densenet161", "DenseNet-161 (k = 48)", 22.2, -1, imagenet<48, 6, 12, 36, 24>);
  row("cifar_densenet40_k12", "DenseNet (L = 40, k = 12)", 5.24, -1, cifar<40, 12, false>);
  row("cifar_densenet_bc100_k12", "DenseNet-BC (L = 100, k = 12)", 4.51, -1, cifar<100, 12, true>);
  row("cifar_densenet_bc190_k40", "DenseNet-BC (L = 190, k = 40)", 3.46, -1, cifar<190, 40, true>);
  return rows;
}

}  // namespace gradus::zoo
