#include "zoo/alexnet/alexnet.hpp"

#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {

/// Section 3.3 with its constants; PyTorch's convention, which divides alpha by the size, needs five times the paper's.
constexpr LocalResponseNormConfig kResponseNorm{.size = 5, .alpha = 5e-4, .beta = 0.75, .k = 2};

// AlexNet's figure 2: 227 -> 55 -> 27 -> 13 -> 6. The two towers are groups; conv3 sees both.
constexpr EightLayersConfig kAlexNet{.conv1 = {96, {.kernel = 11, .stride = 4}},
                                     .conv2 = {256, {.kernel = 5, .padding = 2, .groups = 2}},
                                     .conv3 = {384, {.kernel = 3, .padding = 1}},
                                     .conv4 = {384, {.kernel = 3, .padding = 1, .groups = 2}},
                                     .conv5 = {256, {.kernel = 3, .padding = 1, .groups = 2}},
                                     .bias = 1};

// ZFNet's figure 3: 224 -> 110 -> 55 -> 26 -> 13 -> 6. Only ceil pooling gives its map sizes.
constexpr EightLayersConfig kZfNet{.conv1 = {96, {.kernel = 7, .stride = 2, .padding = 1}},
                                   .conv2 = {256, {.kernel = 5, .stride = 2}},
                                   .conv3 = {384, {.kernel = 3, .padding = 1}},
                                   .conv4 = {384, {.kernel = 3, .padding = 1}},
                                   .conv5 = {256, {.kernel = 3, .padding = 1}},
                                   .norm_first = false,
                                   .ceil_mode = true};

// Their forms for 32 x 32 images: maps 32, 15, 7, 3.
constexpr EightLayersConfig kCifarAlexNet{.conv1 = {64, {.kernel = 5, .padding = 2}},
                                          .conv2 = {192, {.kernel = 5, .padding = 2}},
                                          .conv3 = {384, {.kernel = 3, .padding = 1}},
                                          .conv4 = {256, {.kernel = 3, .padding = 1}},
                                          .conv5 = {256, {.kernel = 3, .padding = 1}},
                                          .side = 3,
                                          .hidden = 1024,
                                          .bias = 1};
constexpr EightLayersConfig kCifarZfNet{.conv1 = {96, {.kernel = 3, .padding = 1}},
                                        .conv2 = {256, {.kernel = 3, .padding = 1}},
                                        .conv3 = {384, {.kernel = 3, .padding = 1}},
                                        .conv4 = {384, {.kernel = 3, .padding = 1}},
                                        .conv5 = {256, {.kernel = 3, .padding = 1}},
                                        .norm_first = false,
                                        .side = 3,
                                        .hidden = 1024};

}  // namespace

EightLayers::EightLayers(const EightLayersConfig& c, const ModelOptions& options) : fit(c.side) {
  const auto conv = [&](int i, std::int64_t in, const EightLayersConfig::Convolution& row) -> Conv2d& {
    Conv2d& added = features.add(fmt::format("conv{}", i), Conv2d(in, row.out, row.config));
    features.add(fmt::format("relu{}", i), ReLU());
    return added;
  };
  const auto norm_and_pool = [&](int i) {
    const auto norm = [&] { features.add(fmt::format("norm{}", i), LocalResponseNorm(kResponseNorm)); };
    if (c.norm_first) norm();
    features.add(fmt::format("pool{}", i), MaxPool2d(3, {.stride = 2, .ceil_mode = c.ceil_mode}));
    if (!c.norm_first) norm();
  };
  conv(1, or_paper(options.image_channels, 3), c.conv1);
  norm_and_pool(1);
  const Conv2d& conv2 = conv(2, c.conv1.out, c.conv2);
  norm_and_pool(2);
  conv(3, c.conv2.out, c.conv3);
  const Conv2d& conv4 = conv(4, c.conv3.out, c.conv4);
  const Conv2d& conv5 = conv(5, c.conv4.out, c.conv5);
  features.add("pool5", MaxPool2d(3, {.stride = 2}));

  const double dropout = or_paper(options.dropout, 0.5);
  classifier.add("drop6", Dropout(dropout));
  const Linear& fc6 = classifier.add("fc6", Linear(c.conv5.out * c.side * c.side, c.hidden));
  classifier.add("relu6", ReLU());
  classifier.add("drop7", Dropout(dropout));
  const Linear& fc7 = classifier.add("fc7", Linear(c.hidden, c.hidden));
  classifier.add("relu7", ReLU());
  classifier.add("fc8", Linear(c.hidden, or_paper(options.classes, c.hidden == 4096 ? 1000 : 10)));

  if (options.init == Init::framework) return;
  if (c.hidden == 4096 || options.init == Init::paper) {
    init_normal(*this, 0.01);  // section 5 of either paper
    for (const Parameter* bias : {&conv2.bias, &conv4.bias, &conv5.bias, &fc6.bias, &fc7.bias})
      init::constant(*bias, c.bias);
  } else {
    init_kaiming(*this, init::Fan::in);  // N(0, 0.01^2) starts too small for these widths
    for (const Linear* linear : {&fc6, &fc7}) {
      init::kaiming_normal(linear->weight);
      init::constant(linear->bias, 0);
    }
  }
}

Tensor EightLayers::forward(const Tensor& x) { return classifier(flatten(fit(features(x)))); }

AlexNet::AlexNet(const ModelOptions& options) : avgpool(6) {
  const double dropout = or_paper(options.dropout, 0.5);
  features.add(Conv2d(or_paper(options.image_channels, 3), 64, {.kernel = 11, .stride = 4, .padding = 2}));  // 55
  features.add(ReLU());
  features.add(MaxPool2d(3, {.stride = 2}));  // 27
  features.add(Conv2d(64, 192, {.kernel = 5, .padding = 2}));
  features.add(ReLU());
  features.add(MaxPool2d(3, {.stride = 2}));  // 13
  features.add(Conv2d(192, 384, {.kernel = 3, .padding = 1}));
  features.add(ReLU());
  features.add(Conv2d(384, 256, {.kernel = 3, .padding = 1}));
  features.add(ReLU());
  features.add(Conv2d(256, 256, {.kernel = 3, .padding = 1}));
  features.add(ReLU());
  features.add(MaxPool2d(3, {.stride = 2}));  // 6

  classifier.add(Dropout(dropout));
  classifier.add(Linear(256 * 6 * 6, 4096));
  classifier.add(ReLU());
  classifier.add(Dropout(dropout));
  classifier.add(Linear(4096, 4096));
  classifier.add(ReLU());
  classifier.add(Linear(4096, or_paper(options.classes, 1000)));
  if (options.init == Init::paper) init_normal(*this, 0.01);
}

Tensor AlexNet::forward(const Tensor& x) { return classifier(flatten(avgpool(features(x)))); }

namespace {

template <const EightLayersConfig& config>
std::unique_ptr<Classifier> eight_layers(const ModelOptions& options) {
  return std::make_unique<EightLayers>(config, options);
}

constexpr const char* kKrizhevsky =
    "Krizhevsky, Sutskever and Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks";
constexpr const char* kZeiler =
    "Zeiler and Fergus 2013, Visualizing and Understanding Convolutional Networks, arXiv:1311.2901";

}  // namespace

std::vector<ModelInfo> alexnet_models() {
  return {{.name = "alexnet_paper",
           .family = "alexnet",
           .title = "AlexNet, two towers",
           .year = 2012,
           .paper = kKrizhevsky,
           .input = 227,
           .smallest = 67,
           .classes = 1000,
           .naming = "caffe",
           .top1_error = 40.7,
           .top5_error = 18.2,
           .build = eight_layers<kAlexNet>},
          {.name = "alexnet",
           .family = "alexnet",
           .title = "AlexNet, torchvision's one tower",
           .year = 2014,
           .paper = "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997",
           .input = 224,
           .smallest = 63,
           .classes = 1000,
           .naming = "torchvision",
           .build = build_net<AlexNet>},
          {.name = "zfnet",
           .family = "alexnet",
           .title = "ZFNet",
           .year = 2013,
           .paper = kZeiler,
           .input = 224,
           .smallest = 63,
           .classes = 1000,
           .naming = "caffe",
           .top1_error = 38.4,
           .top5_error = 16.5,
           .build = eight_layers<kZfNet>},
          {.name = "cifar_alexnet",
           .family = "alexnet",
           .title = "AlexNet for small images",
           .year = 2012,
           .paper = kKrizhevsky,
           .input = 32,
           .smallest = 15,
           .classes = 10,
           .naming = "caffe",
           .build = eight_layers<kCifarAlexNet>},
          {.name = "cifar_zfnet",
           .family = "alexnet",
           .title = "ZFNet for small images",
           .year = 2013,
           .paper = kZeiler,
           .input = 32,
           .smallest = 15,
           .classes = 10,
           .naming = "caffe",
           .build = eight_layers<kCifarZfNet>}};
}

}  // namespace gradus::zoo
