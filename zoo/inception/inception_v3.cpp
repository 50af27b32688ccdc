#include "zoo/inception/inception_v3.hpp"

#include "zoo/build.hpp"
#include "zoo/inception/units.hpp"

namespace gradus::zoo {
namespace {

/// Figure 5: the 5x5 of GoogLeNet as two 3x3, beside one true 5x5. -> 224 + pool channels.
Branches block_a(std::int64_t in, std::int64_t pool) {
  Branches b;
  b.add("branch1x1", unit(in, 64, 1));
  b.add("", chain({{"branch5x5_1", unit(in, 48, 1)}, {"branch5x5_2", unit(48, 64, 5)}}));
  b.add("", chain({{"branch3x3dbl_1", unit(in, 64, 1)},
                   {"branch3x3dbl_2", unit(64, 96, 3)},
                   {"branch3x3dbl_3", unit(96, 96, 3)}}));
  b.add("", averaged("branch_pool", unit(in, pool, 1), kCountPadding));
  b.as_block();
  return b;
}

/// Figure 10: halves the map. -> 480 + in channels.
Branches block_b(std::int64_t in) {
  Branches b;
  b.add("branch3x3", halving_unit(in, 384));
  b.add("", chain({{"branch3x3dbl_1", unit(in, 64, 1)},
                   {"branch3x3dbl_2", unit(64, 96, 3)},
                   {"branch3x3dbl_3", halving_unit(96, 96)}}));
  b.add("maxpool", MaxPool2d(3, {.stride = 2}));
  b.as_block();
  return b;
}

/// Figure 6: n x n convolutions as 1 x 7 and 7 x 1, inner width c. -> 768 channels.
Branches block_c(std::int64_t in, std::int64_t c) {
  Branches b;
  b.add("branch1x1", unit(in, 192, 1));
  b.add("", chain({{"branch7x7_1", unit(in, c, 1)},
                   {"branch7x7_2", unit(c, c, {1, 7})},
                   {"branch7x7_3", unit(c, 192, {7, 1})}}));
  b.add("", chain({{"branch7x7dbl_1", unit(in, c, 1)},
                   {"branch7x7dbl_2", unit(c, c, {7, 1})},
                   {"branch7x7dbl_3", unit(c, c, {1, 7})},
                   {"branch7x7dbl_4", unit(c, c, {7, 1})},
                   {"branch7x7dbl_5", unit(c, 192, {1, 7})}}));
  b.add("", averaged("branch_pool", unit(in, 192, 1), kCountPadding));
  b.as_block();
  return b;
}

/// Halves the map. -> 512 + in channels.
Branches block_d(std::int64_t in) {
  Branches b;
  b.add("", chain({{"branch3x3_1", unit(in, 192, 1)}, {"branch3x3_2", halving_unit(192, 320)}}));
  b.add("", chain({{"branch7x7x3_1", unit(in, 192, 1)},
                   {"branch7x7x3_2", unit(192, 192, {1, 7})},
                   {"branch7x7x3_3", unit(192, 192, {7, 1})},
                   {"branch7x7x3_4", halving_unit(192, 192)}}));
  b.add("maxpool", MaxPool2d(3, {.stride = 2}));
  b.as_block();
  return b;
}

/// Figure 7: branches that fan out into 1 x 3 and 3 x 1. -> 2048 channels.
Branches block_e(std::int64_t in) {
  Branches b;
  b.add("branch1x1", unit(in, 320, 1));
  Sequential single = chain({{"branch3x3_1", unit(in, 384, 1)}});
  single.add("", fan("branch3x3_2a", unit(384, 384, {1, 3}), "branch3x3_2b", unit(384, 384, {3, 1})));
  b.add("", std::move(single));
  Sequential twice = chain({{"branch3x3dbl_1", unit(in, 448, 1)}, {"branch3x3dbl_2", unit(448, 384, 3)}});
  twice.add("", fan("branch3x3dbl_3a", unit(384, 384, {1, 3}), "branch3x3dbl_3b", unit(384, 384, {3, 1})));
  b.add("", std::move(twice));
  b.add("", averaged("branch_pool", unit(in, 192, 1), kCountPadding));
  b.as_block();
  return b;
}

}  // namespace

InceptionAux::InceptionAux(std::int64_t classes)
    : pool(5, {.stride = 3}),  // 17 -> 5
      conv0(768, 128, {.eps = 1e-3}),
      conv1(128, 768, {.kernel = 5, .eps = 1e-3}),  // 1
      fc(768, classes) {}

Tensor InceptionAux::forward(const Tensor& x) { return fc(flatten(fit(conv1(conv0(pool(x)))))); }

InceptionV3::InceptionV3(const ModelOptions& options)
    : Conv2d_1a_3x3(halving_unit(or_paper(options.image_channels, 3), 32)),  // 149
      Conv2d_2a_3x3(32, 32, {.kernel = 3, .eps = 1e-3}),                     // 147
      Conv2d_2b_3x3(unit(32, 64, 3)),
      maxpool1(3, {.stride = 2}),  // 73
      Conv2d_3b_1x1(unit(64, 80, 1)),
      Conv2d_4a_3x3(80, 192, {.kernel = 3, .eps = 1e-3}),  // 71
      maxpool2(3, {.stride = 2}),                          // 35
      Mixed_5b(block_a(192, 32)),
      Mixed_5c(block_a(256, 64)),
      Mixed_5d(block_a(288, 64)),
      Mixed_6a(block_b(288)),  // 17
      Mixed_6b(block_c(768, 128)),
      Mixed_6c(block_c(768, 160)),
      Mixed_6d(block_c(768, 160)),
      Mixed_6e(block_c(768, 192)),
      AuxLogits(or_paper(options.classes, 1000)),
      Mixed_7a(block_d(768)),  // 8
      Mixed_7b(block_e(1280)),
      Mixed_7c(block_e(2048)),
      dropout(or_paper(options.dropout, 0.5)),
      fc(2048, or_paper(options.classes, 1000)) {
  if (options.init == Init::framework) return;
  // torchvision's: normal with deviation 0.1, in name truncated at +-2; smaller in the head.
  const auto normal = [](const Tensor& weight, double std) { init::truncated_normal(weight, 0, std, -2, 2); };
  for_each<Conv2d>(*this, [&](Conv2d& conv) { normal(conv.weight, 0.1); });
  for_each<Linear>(*this, [&](Linear& linear) { normal(linear.weight, 0.1); });
  normal(AuxLogits.conv1.conv.weight, 0.01);
  normal(AuxLogits.fc.weight, 0.001);
}

Tensor InceptionV3::run(const Tensor& x, Heads* heads) {
  Tensor y = maxpool1(Conv2d_2b_3x3(Conv2d_2a_3x3(Conv2d_1a_3x3(x))));
  y = maxpool2(Conv2d_4a_3x3(Conv2d_3b_1x1(y)));
  y = Mixed_5d(Mixed_5c(Mixed_5b(y)));
  y = Mixed_6e(Mixed_6d(Mixed_6c(Mixed_6b(Mixed_6a(y)))));
  if (heads) heads->auxiliary.push_back({"aux", AuxLogits(y), 0.4});
  y = Mixed_7c(Mixed_7b(Mixed_7a(y)));
  return fc(dropout(flatten(avgpool(y))));
}

Tensor InceptionV3::forward(const Tensor& x) { return run(x, nullptr); }

Heads InceptionV3::forward_heads(const Tensor& x) {
  Heads heads;
  heads.logits = run(x, is_training() ? &heads : nullptr);
  return heads;
}

std::vector<ModelInfo> inception_v3_models() {
  return {{.name = "inception_v3",
           .family = "inception",
           .title = "Inception-v3",
           .year = 2015,
           .paper = "Szegedy et al. 2015, Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567",
           .input = 299,
           .smallest = 75,
           .classes = 1000,
           .naming = "torchvision",
           .top1_error = 21.2,
           .top5_error = 5.6,
           .build = build_net<InceptionV3>}};
}

}  // namespace gradus::zoo
