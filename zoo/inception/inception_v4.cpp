#include "zoo/inception/inception_v4.hpp"

#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"
#include "zoo/inception/units.hpp"

namespace gradus::zoo {
namespace {

/// 3x3 unpadded, batch norm, ReLU: "V" in the figures.
ConvBnRelu valid_unit(std::int64_t in, std::int64_t out) { return {in, out, {.kernel = 3, .eps = 1e-3}}; }
MaxPool2d halve() { return MaxPool2d(3, {.stride = 2}); }

// Inception-v4, figure by figure.

/// Figure 3, first fork: 147 -> 73, 64 -> 160 channels.
Branches stem_3a() {
  Branches b;
  b.add("maxpool", halve());
  b.add("conv", halving_unit(64, 96));
  return b;
}

/// Second fork: 73 -> 71, 160 -> 192.
Branches stem_4a() {
  Branches b;
  b.add("branch0", Sequential(unit(160, 64, 1), valid_unit(64, 96)));
  b.add("branch1", Sequential(unit(160, 64, 1), unit(64, 64, {1, 7}), unit(64, 64, {7, 1}), valid_unit(64, 96)));
  return b;
}

/// Third fork: 71 -> 35, 192 -> 384.
Branches stem_5a() {
  Branches b;
  b.add("conv", halving_unit(192, 192));
  b.add("maxpool", halve());
  return b;
}

/// Figure 4: 384 channels.
Branches inception_a() {
  Branches b;
  b.add("branch0", unit(384, 96, 1));
  b.add("branch1", Sequential(unit(384, 64, 1), unit(64, 96, 3)));
  b.add("branch2", Sequential(unit(384, 64, 1), unit(64, 96, 3), unit(96, 96, 3)));
  b.add("branch3", Sequential(AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = false}), unit(384, 96, 1)));
  b.as_block();
  return b;
}

/// Figure 7 with k, l, m, n = 192, 224, 256, 384: 35 -> 17, 384 -> 1024.
Branches reduction_a() {
  Branches b;
  b.add("branch0", halving_unit(384, 384));
  b.add("branch1", Sequential(unit(384, 192, 1), unit(192, 224, 3), halving_unit(224, 256)));
  b.add("branch2", halve());
  b.as_block();
  return b;
}

/// Figure 5: 1024 channels.
Branches inception_b() {
  Branches b;
  b.add("branch0", unit(1024, 384, 1));
  b.add("branch1", Sequential(unit(1024, 192, 1), unit(192, 224, {1, 7}), unit(224, 256, {7, 1})));
  b.add("branch2", Sequential(unit(1024, 192, 1), unit(192, 192, {7, 1}), unit(192, 224, {1, 7}),
                              unit(224, 224, {7, 1}), unit(224, 256, {1, 7})));
  b.add("branch3",
        Sequential(AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = false}), unit(1024, 128, 1)));
  b.as_block();
  return b;
}

/// Figure 8: 17 -> 8, 1024 -> 1536.
Branches reduction_b() {
  Branches b;
  b.add("branch0", Sequential(unit(1024, 192, 1), halving_unit(192, 192)));
  b.add("branch1",
        Sequential(unit(1024, 256, 1), unit(256, 256, {1, 7}), unit(256, 320, {7, 1}), halving_unit(320, 320)));
  b.add("branch2", halve());
  b.as_block();
  return b;
}

/// Figure 6: 1536 channels.
Branches inception_c() {
  Branches b;
  b.add("branch0", unit(1536, 256, 1));
  Sequential branch1 = chain({{"branch1_0", unit(1536, 384, 1)}});
  branch1.add("", fan("branch1_1a", unit(384, 256, {1, 3}), "branch1_1b", unit(384, 256, {3, 1})));
  b.add("", std::move(branch1));
  Sequential branch2 = chain({{"branch2_0", unit(1536, 384, 1)},
                              {"branch2_1", unit(384, 448, {3, 1})},
                              {"branch2_2", unit(448, 512, {1, 3})}});
  branch2.add("", fan("branch2_3a", unit(512, 256, {1, 3}), "branch2_3b", unit(512, 256, {3, 1})));
  b.add("", std::move(branch2));
  b.add("branch3",
        Sequential(AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = false}), unit(1536, 256, 1)));
  b.as_block();
  return b;
}

// Inception-ResNet-v2.

/// The block between stem and residual blocks: 192 -> 320 channels.
Branches resnet_5b() {
  Branches b;
  b.add("branch0", unit(192, 96, 1));
  b.add("branch1", Sequential(unit(192, 48, 1), unit(48, 64, 5)));
  b.add("branch2", Sequential(unit(192, 64, 1), unit(64, 96, 3), unit(96, 96, 3)));
  b.add("branch3", Sequential(AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = false}), unit(192, 64, 1)));
  b.as_block();
  return b;
}

/// Figure 16, 320 channels at 35 x 35, scaled by 0.17.
InceptionResidual block35(std::int64_t reduction) {
  Branches b;
  b.add("branch0", unit(320, 32, 1));
  b.add("branch1", Sequential(unit(320, 32, 1), unit(32, 32, 3)));
  b.add("branch2", Sequential(unit(320, 32, 1), unit(32, 48, 3), unit(48, 64, 3)));
  return {std::move(b), 128, 320, 0.17, true, reduction};
}

/// Figure 7 with k, l, m, n = 256, 256, 384, 384: 35 -> 17, 320 -> 1088.
Branches resnet_6a() {
  Branches b;
  b.add("branch0", halving_unit(320, 384));
  b.add("branch1", Sequential(unit(320, 256, 1), unit(256, 256, 3), halving_unit(256, 384)));
  b.add("branch2", halve());
  b.as_block();
  return b;
}

/// Figure 17, 1088 channels at 17 x 17, scaled by 0.10.
InceptionResidual block17(std::int64_t reduction) {
  Branches b;
  b.add("branch0", unit(1088, 192, 1));
  b.add("branch1", Sequential(unit(1088, 128, 1), unit(128, 160, {1, 7}), unit(160, 192, {7, 1})));
  return {std::move(b), 384, 1088, 0.10, true, reduction};
}

/// Figure 18: 17 -> 8, 1088 -> 2080.
Branches resnet_7a() {
  Branches b;
  b.add("branch0", Sequential(unit(1088, 256, 1), halving_unit(256, 384)));
  b.add("branch1", Sequential(unit(1088, 256, 1), halving_unit(256, 288)));
  b.add("branch2", Sequential(unit(1088, 256, 1), unit(256, 288, 3), halving_unit(288, 320)));
  b.add("branch3", halve());
  b.as_block();
  return b;
}

/// Figure 19, 2080 channels at 8 x 8.
InceptionResidual resnet_block8(double scale, bool relu, std::int64_t reduction) {
  Branches b;
  b.add("branch0", unit(2080, 192, 1));
  b.add("branch1", Sequential(unit(2080, 192, 1), unit(192, 224, {1, 3}), unit(224, 256, {3, 1})));
  return {std::move(b), 448, 2080, scale, relu, reduction};
}

std::int64_t reduction_of(bool excited, const ModelOptions& options) {
  return excited ? or_paper(options.reduction, 16) : 0;
}

/// Where the paper gives nothing: the same Kaiming's as elsewhere.
void init_units(Module& net, const ModelOptions& options) {
  if (options.init != Init::framework) init_kaiming(net, init::Fan::out);
}

}  // namespace

InceptionV4::InceptionV4(const ModelOptions& options)
    : dropout(or_paper(options.dropout, 0.2)), last_linear(1536, or_paper(options.classes, 1000)) {
  features.add(halving_unit(or_paper(options.image_channels, 3), 32));  // 149
  features.add(valid_unit(32, 32));                                     // 147
  features.add(unit(32, 64, 3));
  features.add(stem_3a());  // 73
  features.add(stem_4a());  // 71
  features.add(stem_5a());  // 35
  for (int i = 0; i < 4; ++i) features.add(inception_a());
  features.add(reduction_a());  // 17
  for (int i = 0; i < 7; ++i) features.add(inception_b());
  features.add(reduction_b());  // 8
  for (int i = 0; i < 3; ++i) features.add(inception_c());
  init_units(*this, options);
}

Tensor InceptionV4::forward(const Tensor& x) { return last_linear(dropout(flatten(avg_pool(features(x))))); }

InceptionResidual::InceptionResidual(Branches b, std::int64_t joined, std::int64_t channels, double scale, bool relu,
                                     std::int64_t reduction)
    : branches(std::move(b)), conv2d(joined, channels, {.kernel = 1}), scale_(scale), relu_(relu) {
  if (reduction > 0) se_module.emplace(channels, reduction);
}

Tensor InceptionResidual::forward(const Tensor& x) {
  Tensor y = conv2d(branches(x));
  if (se_module) y = (*se_module)(y);
  y = x + y * scale_;
  return relu_ ? relu(y) : y;
}

void InceptionResidual::members(MemberVisitor& visit) {
  visit("", branches);
  visit("conv2d", conv2d);
  visit("se_module", se_module);
}

std::string InceptionResidual::options() const { return fmt::format("scale {}{}", scale_, relu_ ? "" : ", no ReLU"); }

InceptionResNetV2::InceptionResNetV2(bool excited, const ModelOptions& options)
    : conv2d_1a(halving_unit(or_paper(options.image_channels, 3), 32)),  // 149
      conv2d_2a(valid_unit(32, 32)),                                     // 147
      conv2d_2b(unit(32, 64, 3)),
      maxpool_3a(halve()),  // 73
      conv2d_3b(unit(64, 80, 1)),
      conv2d_4a(valid_unit(80, 192)),  // 71
      maxpool_5a(halve()),             // 35
      mixed_5b(resnet_5b()),
      mixed_6a(resnet_6a()),  // 17
      mixed_7a(resnet_7a()),  // 8
      block8(resnet_block8(1, false, reduction_of(excited, options))),
      conv2d_7b(unit(2080, 1536, 1)),
      dropout(or_paper(options.dropout, 0.2)),
      last_linear(1536, or_paper(options.classes, 1000)) {
  const std::int64_t reduction = reduction_of(excited, options);
  for (int i = 0; i < 10; ++i) repeat.add(block35(reduction));
  for (int i = 0; i < 20; ++i) repeat_1.add(block17(reduction));
  for (int i = 0; i < 9; ++i) repeat_2.add(resnet_block8(0.20, true, reduction));
  init_units(*this, options);
}

Tensor InceptionResNetV2::forward(const Tensor& x) {
  Tensor y = maxpool_3a(conv2d_2b(conv2d_2a(conv2d_1a(x))));
  y = maxpool_5a(conv2d_4a(conv2d_3b(y)));
  y = repeat(mixed_5b(y));
  y = repeat_1(mixed_6a(y));
  y = block8(repeat_2(mixed_7a(y)));
  return last_linear(dropout(flatten(avgpool_1a(conv2d_7b(y)))));
}

namespace {
template <bool excited>
std::unique_ptr<Classifier> inception_resnet(const ModelOptions& options) {
  return std::make_unique<InceptionResNetV2>(excited, options);
}
}  // namespace

std::vector<ModelInfo> inception_v4_models() {
  constexpr const char* kPaper =
      "Szegedy et al. 2016, Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, "
      "arXiv:1602.07261";
  return {{.name = "inceptionv4",
           .family = "inception",
           .title = "Inception-v4",
           .year = 2016,
           .paper = kPaper,
           .input = 299,
           .smallest = 75,
           .classes = 1000,
           .naming = "pretrainedmodels",
           .top1_error = 20.0,
           .top5_error = 5.0,
           .build = build_net<InceptionV4>},
          {.name = "inceptionresnetv2",
           .family = "inception",
           .title = "Inception-ResNet-v2",
           .year = 2016,
           .paper = kPaper,
           .input = 299,
           .smallest = 75,
           .classes = 1000,
           .naming = "pretrainedmodels",
           .top1_error = 19.9,
           .top5_error = 4.9,
           .build = inception_resnet<false>},
          {.name = "se_inceptionresnetv2",
           .family = "senet",
           .title = "SE-Inception-ResNet-v2",
           .year = 2017,
           .paper = "Hu et al. 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507",
           .input = 299,
           .smallest = 75,
           .classes = 1000,
           .naming = "pretrainedmodels",
           .top1_error = 19.80,
           .top5_error = 4.79,
           .build = inception_resnet<true>}};
}

}  // namespace gradus::zoo
