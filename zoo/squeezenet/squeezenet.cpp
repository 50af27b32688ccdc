#include "zoo/squeezenet/squeezenet.hpp"

#include "nn/layers/conv_bn.hpp"
#include "ops/cat/cat.hpp"
#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {

Fire::Fire(std::int64_t in, std::int64_t squeezed, std::int64_t expand)
    : squeeze(in, squeezed, {.kernel = 1}),
      expand1x1(squeezed, expand, {.kernel = 1}),
      expand3x3(squeezed, expand, {.kernel = 3, .padding = 1}) {}

Tensor Fire::forward(const Tensor& x) {
  const Tensor s = conv_relu(squeeze, x);
  return relu(cat({expand1x1(s), expand3x3(s)}, 1));
}

SqueezeNet::SqueezeNet(bool version_1_1, const ModelOptions& options) {
  const std::int64_t channels = or_paper(options.image_channels, 3);
  const auto pool = [] { return MaxPool2d(3, {.stride = 2, .ceil_mode = true}); };
  if (!version_1_1) {
    features.add(Conv2d(channels, 96, {.kernel = 7, .stride = 2}));
    features.add(ReLU());
    features.add(pool());
    features.add(Fire(96, 16, 64));
    features.add(Fire(128, 16, 64));
    features.add(Fire(128, 32, 128));
    features.add(pool());
    features.add(Fire(256, 32, 128));
    features.add(Fire(256, 48, 192));
    features.add(Fire(384, 48, 192));
    features.add(Fire(384, 64, 256));
    features.add(pool());
    features.add(Fire(512, 64, 256));
  } else {  // a smaller stem and earlier pools: 2.4 times less to compute
    features.add(Conv2d(channels, 64, {.kernel = 3, .stride = 2}));
    features.add(ReLU());
    features.add(pool());
    features.add(Fire(64, 16, 64));
    features.add(Fire(128, 16, 64));
    features.add(pool());
    features.add(Fire(128, 32, 128));
    features.add(Fire(256, 32, 128));
    features.add(pool());
    features.add(Fire(256, 48, 192));
    features.add(Fire(384, 48, 192));
    features.add(Fire(384, 64, 256));
    features.add(Fire(512, 64, 256));
  }
  classifier.add(Dropout(or_paper(options.dropout, 0.5)));
  Conv2d& last = classifier.add(Conv2d(512, or_paper(options.classes, 1000), {.kernel = 1}));
  classifier.add(ReLU());
  classifier.add(AdaptiveAvgPool2d(1));

  if (options.init == Init::framework) return;
  for_each<Conv2d>(*this, [&](Conv2d& conv) {
    if (&conv == &last) {
      init::normal(conv.weight, 0, 0.01);
    } else {
      init::kaiming_uniform(conv.weight);
    }
    init::constant(conv.bias, 0);
  });
}

Tensor SqueezeNet::forward(const Tensor& x) { return flatten(classifier(features(x))); }

namespace {
template <bool version_1_1>
std::unique_ptr<Classifier> squeezenet(const ModelOptions& options) {
  return std::make_unique<SqueezeNet>(version_1_1, options);
}
}  // namespace

std::vector<ModelInfo> squeezenet_models() {
  std::vector<ModelInfo> rows;
  auto row = [&](const char* name, const char* title, std::int64_t smallest, double top1, double top5, auto build) {
    rows.push_back({.name = name,
                    .family = "squeezenet",
                    .title = title,
                    .year = 2016,
                    .paper = "Iandola et al. 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, "
                             "arXiv:1602.07360",
                    .input = 224,
                    .smallest = smallest,
                    .classes = 1000,
                    .naming = "torchvision",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  };
  row("squeezenet1_0", "SqueezeNet 1.0", 29, 42.5, 19.7, squeezenet<false>);
  row("squeezenet1_1", "SqueezeNet 1.1", 25, -1, -1, squeezenet<true>);
  return rows;
}

}  // namespace gradus::zoo
