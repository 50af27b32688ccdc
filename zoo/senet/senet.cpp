#include "zoo/senet/senet.hpp"

#include "zoo/build.hpp"
#include "zoo/resnet/resnet.hpp"

namespace gradus::zoo {

SENet::SENet(const SENetConfig& config, const ModelOptions& options)
    : dropout(or_paper(options.dropout, config.dropout)), last_linear(2048, or_paper(options.classes, 1000)) {
  const std::int64_t image_channels = or_paper(options.image_channels, 3);
  auto stem = [&](int i, std::int64_t from, std::int64_t to, const Conv2dConfig& conv) {
    layer0.add(fmt::format("conv{}", i), Conv2d(from, to, conv));
    layer0.add(fmt::format("bn{}", i), BatchNorm2d(to));
    layer0.add(fmt::format("relu{}", i), ReLU());
  };
  if (config.deep_stem) {
    stem(1, image_channels, 64, {.kernel = 3, .stride = 2, .padding = 1, .bias = false});
    stem(2, 64, 64, {.kernel = 3, .padding = 1, .bias = false});
    stem(3, 64, 128, {.kernel = 3, .padding = 1, .bias = false});
  } else {
    stem(1, image_channels, 64, {.kernel = 7, .stride = 2, .padding = 3, .bias = false});
  }
  layer0.add("pool", MaxPool2d(3, {.stride = 2, .ceil_mode = true}));  // 56, its windows not where ResNet's are

  const std::int64_t groups = or_paper(options.cardinality, config.groups);
  // ResNeXt's widths are cardinality x channels per group; each of the two may be asked for.
  const double scale =
      static_cast<double>(groups) / static_cast<double>(config.groups) *
      (config.groups == 1 ? or_paper(options.base_width, 64) / 64.0 : or_paper(options.base_width, 4) / 4.0);
  Sequential* const layers[] = {&layer1, &layer2, &layer3, &layer4};
  std::int64_t in = config.deep_stem ? 128 : 64;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t planes = std::int64_t{64} << stage;
    for (int b = 0; b < config.blocks[stage]; ++b, in = 4 * planes)
      layers[stage]->add(Bottleneck({.in = in,
                                     .reduced = static_cast<std::int64_t>(planes * config.reduced * scale),
                                     .width = static_cast<std::int64_t>(planes * config.width * scale),
                                     .out = 4 * planes,
                                     .stride = b == 0 && stage > 0 ? 2 : 1,
                                     .stride_on_1x1 = config.stride_on_1x1,
                                     .groups = groups,
                                     .projection = stage == 0 ? 1 : config.projection,
                                     .reduction = or_paper(options.reduction, 16)}));
  }
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor SENet::forward(const Tensor& x) {
  const Tensor y = layer4(layer3(layer2(layer1(layer0(x)))));
  return last_linear(dropout(flatten(avg_pool(y))));
}

namespace {

enum class Form { resnet, resnext, senet154 };

template <Form form, int b1, int b2, int b3, int b4>
std::unique_ptr<Classifier> senet(const ModelOptions& options) {
  SENetConfig config{.blocks = {b1, b2, b3, b4}};
  if (form == Form::resnet) config.stride_on_1x1 = true;
  if (form == Form::resnext) {  // 32 x 4d
    config.groups = 32;
    config.reduced = config.width = 2;
  }
  if (form == Form::senet154) {  // a 64 x 4d ResNeXt-152, its first 1x1 halved
    config.groups = 64;
    config.reduced = 2;
    config.width = 4;
    config.deep_stem = true;
    config.projection = 3;
    config.dropout = 0.2;
  }
  return std::make_unique<SENet>(config, options);
}

}  // namespace

std::vector<ModelInfo> senet_models() {
  std::vector<ModelInfo> rows;
  auto row = [&](const char* name, const char* title, double top1, double top5, auto build) {
    rows.push_back({.name = name,
                    .family = "senet",
                    .title = title,
                    .year = 2017,
                    .paper = "Hu et al. 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507",
                    .input = 224,
                    .smallest = 5,
                    .classes = 1000,
                    .naming = "pretrainedmodels",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  };
  row("se_resnet50", "SE-ResNet-50", 23.29, 6.62, senet<Form::resnet, 3, 4, 6, 3>);
  row("se_resnet101", "SE-ResNet-101", 22.38, 6.07, senet<Form::resnet, 3, 4, 23, 3>);
  row("se_resnet152", "SE-ResNet-152", 21.57, 5.73, senet<Form::resnet, 3, 8, 36, 3>);
  row("se_resnext50_32x4d", "SE-ResNeXt-50 (32x4d)", 21.10, 5.49, senet<Form::resnext, 3, 4, 6, 3>);
  row("se_resnext101_32x4d", "SE-ResNeXt-101 (32x4d)", 20.70, 5.01, senet<Form::resnext, 3, 4, 23, 3>);
  row("senet154", "SENet-154", 18.68, 4.47, senet<Form::senet154, 3, 8, 36, 3>);
  return rows;
}

}  // namespace gradus::zoo
