#include "zoo/resnet/resnet.hpp"

#include "nn/layers/conv_bn.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {

/// relu([SE](bn(conv(x))) + shortcut), the end of a block.
Tensor finish(const Tensor& x, Conv2d& conv, BatchNorm2d& bn, std::optional<SqueezeExcite>* se, const Tensor& shortcut,
              const BlockDepth& place, bool training) {
  if (place.depth && !training) return relu(conv_bn(conv, bn, x) * place.depth->survival(place.index) + shortcut);
  if (se && *se) return (*se)->add_relu(conv_bn(conv, bn, x), shortcut);
  return conv_bn_relu(conv, bn, x, shortcut);
}

void add_projection(Sequential& downsample, std::int64_t in, std::int64_t out, std::int64_t stride,
                    std::int64_t kernel = 1) {
  if (stride == 1 && in == out) return;
  downsample.add(Conv2d(in, out, {.kernel = kernel, .stride = stride, .padding = kernel / 2, .bias = false}));
  downsample.add(BatchNorm2d(out));
}

}  // namespace

BasicBlock::BasicBlock(std::int64_t in, std::int64_t out, std::int64_t stride, BlockDepth place)
    : conv1(in, out, {.kernel = 3, .stride = stride, .padding = 1, .bias = false}),
      bn1(out),
      conv2(out, out, {.kernel = 3, .padding = 1, .bias = false}),
      bn2(out),
      place_(place) {
  add_projection(downsample, in, out, stride);
}

Tensor BasicBlock::forward(const Tensor& x) {
  const Tensor shortcut = downsample(x);
  if (place_.depth && is_training() && place_.depth->drops(place_.index)) return relu(shortcut);
  return finish(conv_bn_relu(conv1, bn1, x), conv2, bn2, nullptr, shortcut, place_, is_training());
}

Bottleneck::Bottleneck(const BottleneckConfig& c, BlockDepth place)
    : conv1(c.in, c.reduced, {.kernel = 1, .stride = c.stride_on_1x1 ? c.stride : 1, .bias = false}),
      bn1(c.reduced),
      conv2(c.reduced, c.width,
            {.kernel = 3, .stride = c.stride_on_1x1 ? 1 : c.stride, .padding = 1, .groups = c.groups, .bias = false}),
      bn2(c.width),
      conv3(c.width, c.out, {.kernel = 1, .bias = false}),
      bn3(c.out),
      place_(place) {
  if (c.reduction > 0) se_module.emplace(c.out, c.reduction);
  add_projection(downsample, c.in, c.out, c.stride, c.projection);
}

Tensor Bottleneck::forward(const Tensor& x) {
  const Tensor shortcut = downsample(x);
  if (place_.depth && is_training() && place_.depth->drops(place_.index)) return relu(shortcut);
  const Tensor y = conv_bn_relu(conv2, bn2, conv_bn_relu(conv1, bn1, x));
  return finish(y, conv3, bn3, &se_module, shortcut, place_, is_training());
}

ResNet::ResNet(const ResNetConfig& config, const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 64, {.kernel = 7, .stride = 2, .padding = 3, .bias = false}),  // 112
      bn1(64),
      maxpool(3, {.stride = 2, .padding = 1}),  // 56
      fc(config.bottleneck ? 2048 : 512, or_paper(options.classes, 1000)) {
  const double survival = or_paper(options.survival, config.survival);
  if (survival != 1) {
    int blocks = 0;
    for (const int n : config.blocks) blocks += n;
    depth = std::make_unique<StochasticDepth>(blocks, survival);
  }
  const std::int64_t groups = or_paper(options.cardinality, config.groups);
  const std::int64_t base_width = or_paper(options.base_width, config.base_width);

  //                          conv2_x  conv3_x  conv4_x  conv5_x     table 1
  Sequential* const layers[] = {&layer1, &layer2, &layer3, &layer4};
  const std::int64_t planes[] = {64, 128, 256, 512};
  const std::int64_t strides[] = {1, 2, 2, 2};
  std::int64_t in = 64;
  int index = 0;
  for (int stage = 0; stage < 4; ++stage) {
    for (int b = 0; b < config.blocks[stage]; ++b, ++index) {
      const std::int64_t stride = b == 0 ? strides[stage] : 1;
      const BlockDepth place{depth.get(), index};
      if (config.bottleneck) {
        const std::int64_t width = planes[stage] * base_width / 64 * groups;
        layers[stage]->add(Bottleneck({.in = in,
                                       .reduced = width,
                                       .width = width,
                                       .out = 4 * planes[stage],
                                       .stride = stride,
                                       .stride_on_1x1 = options.stride_on_1x1,
                                       .groups = groups},
                                      place));
        in = 4 * planes[stage];
      } else {
        layers[stage]->add(BasicBlock(in, planes[stage], stride, place));
        in = planes[stage];
      }
    }
  }

  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
  if (options.zero_last_norm) {
    for_each<BasicBlock>(*this, [](BasicBlock& block) { init::constant(block.bn2.weight, 0); });
    for_each<Bottleneck>(*this, [](Bottleneck& block) { init::constant(block.bn3.weight, 0); });
  }
}

Tensor ResNet::forward(const Tensor& x) {
  Tensor y = maxpool(conv_bn_relu(conv1, bn1, x));
  y = layer4(layer3(layer2(layer1(y))));
  return fc(flatten(avgpool(y)));
}

CifarResNext::CifarResNext(std::int64_t cardinality, std::int64_t base_width, const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 64, {.kernel = 3, .padding = 1, .bias = false}),
      bn1(64),
      fc(1024, or_paper(options.classes, 10)) {
  std::int64_t in = 64;
  auto stage = [&](Sequential& layer, std::int64_t width, std::int64_t out, std::int64_t stride) {
    for (int b = 0; b < 3; ++b, in = out)
      layer.add(Bottleneck({.in = in,
                            .reduced = width,
                            .width = width,
                            .out = out,
                            .stride = b == 0 ? stride : 1,
                            .stride_on_1x1 = options.stride_on_1x1,
                            .groups = cardinality}));
  };
  const std::int64_t width = cardinality * base_width;
  stage(layer1, width, 256, 1);
  stage(layer2, 2 * width, 512, 2);
  stage(layer3, 4 * width, 1024, 2);
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor CifarResNext::forward(const Tensor& x) {
  Tensor y = conv_bn_relu(conv1, bn1, x);
  y = layer3(layer2(layer1(y)));
  return fc(flatten(avgpool(y)));
}

namespace {

/// The builder of one configuration. Blocks per stage as in table 1; then ResNeXt's groups x width.
template <bool bottleneck, int b1, int b2, int b3, int b4, int groups = 1, int base_width = 64>
std::unique_ptr<Classifier> table(const ModelOptions& options) {
  return std::make_unique<ResNet>(
      ResNetConfig{.bottleneck = bottleneck, .blocks = {b1, b2, b3, b4}, .groups = groups, .base_width = base_width},
      options);
}
constexpr bool kBasic = false, kBottleneck = true;

std::unique_ptr<Classifier> resnext29(const ModelOptions& options) {
  return std::make_unique<CifarResNext>(or_paper(options.cardinality, 8), or_paper(options.base_width, 64), options);
}

/// Appends rows that have a paper in common.
struct Rows {
  const char* family;
  int year;
  const char* paper;
  std::vector<ModelInfo>& rows;
  void operator()(const char* name, const char* title, double top1, double top5,
                  std::unique_ptr<Classifier> (*build)(const ModelOptions&)) {
    rows.push_back({.name = name,
                    .family = family,
                    .title = title,
                    .year = year,
                    .paper = paper,
                    .input = 224,
                    .smallest = 1,
                    .classes = 1000,
                    .naming = "torchvision",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  }
};

}  // namespace

std::vector<ModelInfo> resnet_models() {
  std::vector<ModelInfo> rows;
  Rows he{"resnet", 2015, "He et al. 2015, Deep Residual Learning for Image Recognition, arXiv:1512.03385", rows};
  he("resnet18", "ResNet-18", 27.88, -1, table<kBasic, 2, 2, 2, 2>);
  he("resnet34", "ResNet-34", 24.52, 7.46, table<kBasic, 3, 4, 6, 3>);
  he("resnet50", "ResNet-50", 22.85, 6.71, table<kBottleneck, 3, 4, 6, 3>);
  he("resnet101", "ResNet-101", 21.75, 6.05, table<kBottleneck, 3, 4, 23, 3>);
  he("resnet152", "ResNet-152", 21.43, 5.71, table<kBottleneck, 3, 8, 36, 3>);
  Rows zagoruyko{"resnet", 2016, "Zagoruyko and Komodakis 2016, Wide Residual Networks, arXiv:1605.07146", rows};
  zagoruyko("wide_resnet50_2", "WRN-50-2-bottleneck", 21.9, 6.03, table<kBottleneck, 3, 4, 6, 3, 1, 128>);
  zagoruyko("wide_resnet101_2", "WRN-101-2-bottleneck", -1, -1, table<kBottleneck, 3, 4, 23, 3, 1, 128>);
  return rows;
}

std::vector<ModelInfo> resnext_models() {
  std::vector<ModelInfo> rows;
  Rows xie{"resnext", 2016,
           "Xie et al. 2016, Aggregated Residual Transformations for Deep Neural Networks, arXiv:1611.05431", rows};
  xie("resnext50_32x4d", "ResNeXt-50 (32x4d)", 22.2, -1, table<kBottleneck, 3, 4, 6, 3, 32, 4>);
  xie("resnext101_32x4d", "ResNeXt-101 (32x4d)", 21.2, 5.6, table<kBottleneck, 3, 4, 23, 3, 32, 4>);
  xie("resnext101_32x8d", "ResNeXt-101 (32x8d)", -1, -1, table<kBottleneck, 3, 4, 23, 3, 32, 8>);
  xie("resnext101_64x4d", "ResNeXt-101 (64x4d)", 20.4, 5.3, table<kBottleneck, 3, 4, 23, 3, 64, 4>);
  xie("cifar_resnext29_8x64d", "ResNeXt-29 (8x64d)", 3.65, -1, resnext29);
  rows.back().input = 32;
  rows.back().classes = 10;
  return rows;
}

}  // namespace gradus::zoo
