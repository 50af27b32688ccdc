#include "zoo/googlenet/googlenet.hpp"

#include "ops/pointwise/unary.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {

// clang-format off
// Table 1:                  in  1x1  3x3r  3x3  5x5r  5x5  pool
constexpr InceptionRow k3a{192,  64,   96, 128,   16,  32,   32};
constexpr InceptionRow k3b{256, 128,  128, 192,   32,  96,   64};
constexpr InceptionRow k4a{480, 192,   96, 208,   16,  48,   64};
constexpr InceptionRow k4b{512, 160,  112, 224,   24,  64,   64};
constexpr InceptionRow k4c{512, 128,  128, 256,   24,  64,   64};
constexpr InceptionRow k4d{512, 112,  144, 288,   32,  64,   64};
constexpr InceptionRow k4e{528, 256,  160, 320,   32, 128,  128};
constexpr InceptionRow k5a{832, 256,  160, 320,   32, 128,  128};
constexpr InceptionRow k5b{832, 384,  192, 384,   48, 128,  128};
// clang-format on

/// A convolution named as its ReLU'd layer in the Caffe file.
struct NamedConvRelu : Module {
  NamedConvRelu(std::string layer, std::int64_t in, std::int64_t out, const Conv2dConfig& config)
      : name(std::move(layer)), conv(in, out, config) {}
  Tensor forward(const Tensor& x) override { return conv_relu(conv, x); }
  void members(MemberVisitor& visit) override { visit(name, conv); }
  std::string type_name() const override { return "ConvRelu"; }
  std::string name;
  Conv2d conv;
};

NamedConvRelu layer(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t kernel) {
  return {name, in, out, {.kernel = kernel, .padding = kernel / 2}};
}

Branches paper_block(const std::string& prefix, const InceptionRow& r) {
  Branches block;
  block.add("", layer(prefix + "_1x1", r.in, r.c1x1, 1));
  Sequential b3, b5, pool;
  b3.add("", layer(prefix + "_3x3_reduce", r.in, r.reduce3x3, 1));
  b3.add("", layer(prefix + "_3x3", r.reduce3x3, r.c3x3, 3));
  block.add("", std::move(b3));
  b5.add("", layer(prefix + "_5x5_reduce", r.in, r.reduce5x5, 1));
  b5.add("", layer(prefix + "_5x5", r.reduce5x5, r.c5x5, 5));
  block.add("", std::move(b5));
  pool.add(prefix + "_pool", MaxPool2d(3, {.stride = 1, .padding = 1}));
  pool.add("", layer(prefix + "_pool_proj", r.in, r.pool, 1));
  block.add("", std::move(pool));
  block.as_block(prefix);
  return block;
}

/// torchvision's block; `kernel` is that of its third branch.
Branches block(const InceptionRow& r, std::int64_t kernel, double eps) {
  const auto unit = [eps](std::int64_t in, std::int64_t out, std::int64_t k) {
    return ConvBnRelu(in, out, {.kernel = k, .padding = k / 2, .eps = eps});
  };
  Branches b;
  b.add("branch1", unit(r.in, r.c1x1, 1));
  b.add("branch2", Sequential(unit(r.in, r.reduce3x3, 1), unit(r.reduce3x3, r.c3x3, 3)));
  b.add("branch3", Sequential(unit(r.in, r.reduce5x5, 1), unit(r.reduce5x5, r.c5x5, kernel)));
  b.add("branch4", Sequential(MaxPool2d(3, {.stride = 1, .padding = 1, .ceil_mode = true}), unit(r.in, r.pool, 1)));
  b.as_block();
  return b;
}

MaxPool2d halve() { return MaxPool2d(3, {.stride = 2, .ceil_mode = true}); }

}  // namespace

GoogLeNetHead::GoogLeNetHead(std::string name, std::int64_t in, std::int64_t classes, double dropout)
    : prefix(std::move(name)),
      ave_pool(5, {.stride = 3}),  // 14 -> 4
      conv(in, 128, {.kernel = 1}),
      fit(4),
      fc(128 * 4 * 4, 1024),
      drop(dropout),
      classifier(1024, classes) {}

Tensor GoogLeNetHead::forward(const Tensor& x) {
  Tensor y = conv_relu(conv, ave_pool(x));
  y = relu(fc(flatten(fit(y))));
  return classifier(drop(y));
}

void GoogLeNetHead::members(MemberVisitor& visit) {
  visit(prefix + "_ave_pool", ave_pool);
  visit(prefix + "_conv", conv);
  visit(prefix + "_fit", fit);
  visit(prefix + "_flatten", flatten);
  visit(prefix + "_fc", fc);
  visit(prefix + "_drop_fc", drop);
  visit(prefix + "_classifier", classifier);
}

GoogLeNetPaper::GoogLeNetPaper(const ModelOptions& options)
    : loss1("loss1", k4a.out(), or_paper(options.classes, 1000), or_paper(options.dropout, 0.7)),
      loss2("loss2", k4d.out(), or_paper(options.classes, 1000), or_paper(options.dropout, 0.7)),
      drop(or_paper(options.dropout, 0.4)),
      classifier(1024, or_paper(options.classes, 1000)) {
  const LocalResponseNorm response_norm({.size = 5, .alpha = 5e-4, .beta = 0.75, .k = 2});
  to_4a.add("", NamedConvRelu("conv1_7x7_s2", or_paper(options.image_channels, 3), 64,
                              {.kernel = 7, .stride = 2, .padding = 3}));  // 112
  to_4a.add("pool1_3x3_s2", halve());                                      // 56
  to_4a.add("pool1_norm1", LocalResponseNorm(response_norm.config));
  to_4a.add("", layer("conv2_3x3_reduce", 64, 64, 1));
  to_4a.add("", layer("conv2_3x3", 64, 192, 3));
  to_4a.add("conv2_norm2", LocalResponseNorm(response_norm.config));
  to_4a.add("pool2_3x3_s2", halve());  // 28
  to_4a.add("", paper_block("inception_3a", k3a));
  to_4a.add("", paper_block("inception_3b", k3b));
  to_4a.add("pool3_3x3_s2", halve());  // 14
  to_4a.add("", paper_block("inception_4a", k4a));
  to_4d.add("", paper_block("inception_4b", k4b));
  to_4d.add("", paper_block("inception_4c", k4c));
  to_4d.add("", paper_block("inception_4d", k4d));
  to_5b.add("", paper_block("inception_4e", k4e));
  to_5b.add("pool4_3x3_s2", halve());  // 7
  to_5b.add("", paper_block("inception_5a", k5a));
  to_5b.add("", paper_block("inception_5b", k5b));

  // The paper gives none; Caffe's bvlc_googlenet: "xavier" (by fan_in), biases 0.2, 0 at the logits.
  if (options.init == Init::framework) return;
  init_xavier(*this, 0.2);
  for (Linear* logits : {&loss1.classifier, &loss2.classifier, &classifier}) init::constant(logits->bias, 0);
}

void GoogLeNetPaper::members(MemberVisitor& visit) {
  visit("", to_4a);
  visit("", to_4d);
  visit("", to_5b);
  visit("", loss1);
  visit("", loss2);
  visit("pool5", pool);
  visit("pool5_drop", drop);
  visit("loss3_classifier", classifier);
}

Tensor GoogLeNetPaper::forward(const Tensor& x) { return classifier(drop(flatten(pool(to_5b(to_4d(to_4a(x))))))); }

Heads GoogLeNetPaper::forward_heads(const Tensor& x) {
  if (!is_training()) return {(*this)(x), {}};
  const Tensor y4a = to_4a(x);
  const Tensor y4d = to_4d(y4a);
  const Tensor y5b = to_5b(y4d);
  return {classifier(drop(flatten(pool(y5b)))), {{"aux1", loss1(y4a), 0.3}, {"aux2", loss2(y4d), 0.3}}};
}

GoogLeNetAux::GoogLeNetAux(std::int64_t in, std::int64_t classes)
    : pool(4), conv(in, 128, {.eps = 1e-3}), fc1(128 * 4 * 4, 1024), dropout(0.7), fc2(1024, classes) {}

Tensor GoogLeNetAux::forward(const Tensor& x) {
  const Tensor y = relu(fc1(flatten(conv(pool(x)))));
  return fc2(dropout(y));
}

GoogLeNet::GoogLeNet(const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 64, {.kernel = 7, .stride = 2, .padding = 3, .eps = 1e-3}),  // 112
      maxpool1(halve()),                                                                                      // 56
      conv2(64, 64, {.eps = 1e-3}),
      conv3(64, 192, {.kernel = 3, .padding = 1, .eps = 1e-3}),
      maxpool2(halve()),  // 28
      inception3a(block(k3a, 3, 1e-3)),
      inception3b(block(k3b, 3, 1e-3)),
      maxpool3(halve()),  // 14
      inception4a(block(k4a, 3, 1e-3)),
      inception4b(block(k4b, 3, 1e-3)),
      inception4c(block(k4c, 3, 1e-3)),
      inception4d(block(k4d, 3, 1e-3)),
      inception4e(block(k4e, 3, 1e-3)),
      maxpool4(2, {.stride = 2, .ceil_mode = true}),  // 7
      inception5a(block(k5a, 3, 1e-3)),
      inception5b(block(k5b, 3, 1e-3)),
      aux1(k4a.out(), or_paper(options.classes, 1000)),
      aux2(k4d.out(), or_paper(options.classes, 1000)),
      dropout(or_paper(options.dropout, 0.2)),
      fc(1024, or_paper(options.classes, 1000)) {
  if (options.init == Init::framework) return;
  // torchvision: N(0, 0.01^2) within two standard deviations of 0.
  const auto small = [](const Tensor& weight) { init::truncated_normal(weight, 0, 0.01, -0.02, 0.02); };
  for_each<Conv2d>(*this, [&](Conv2d& conv) { small(conv.weight); });
  for_each<Linear>(*this, [&](Linear& linear) { small(linear.weight); });
}

Tensor GoogLeNet::run(const Tensor& x, Heads* heads) {
  Tensor y = maxpool1(conv1(x));
  y = maxpool2(conv3(conv2(y)));
  y = maxpool3(inception3b(inception3a(y)));
  y = inception4a(y);
  if (heads) heads->auxiliary.push_back({"aux1", aux1(y), 0.3});
  y = inception4d(inception4c(inception4b(y)));
  if (heads) heads->auxiliary.push_back({"aux2", aux2(y), 0.3});
  y = maxpool4(inception4e(y));
  y = inception5b(inception5a(y));
  return fc(dropout(flatten(avgpool(y))));
}

Tensor GoogLeNet::forward(const Tensor& x) { return run(x, nullptr); }

Heads GoogLeNet::forward_heads(const Tensor& x) {
  Heads heads;
  heads.logits = run(x, is_training() ? &heads : nullptr);
  return heads;
}

CifarGoogLeNet::CifarGoogLeNet(const ModelOptions& options)
    : conv1(or_paper(options.image_channels, 3), 192, {.kernel = 3, .padding = 1}),  // 32
      inception3a(block(k3a, 5, 1e-5)),
      inception3b(block(k3b, 5, 1e-5)),
      maxpool3(3, {.stride = 2, .padding = 1}),  // 16
      inception4a(block(k4a, 5, 1e-5)),
      inception4b(block(k4b, 5, 1e-5)),
      inception4c(block(k4c, 5, 1e-5)),
      inception4d(block(k4d, 5, 1e-5)),
      inception4e(block(k4e, 5, 1e-5)),
      maxpool4(3, {.stride = 2, .padding = 1}),  // 8
      inception5a(block(k5a, 5, 1e-5)),
      inception5b(block(k5b, 5, 1e-5)),
      dropout(or_paper(options.dropout, 0.2)),
      fc(1024, or_paper(options.classes, 10)) {
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor CifarGoogLeNet::forward(const Tensor& x) {
  Tensor y = inception3b(inception3a(conv1(x)));
  y = inception4e(inception4d(inception4c(inception4b(inception4a(maxpool3(y))))));
  y = inception5b(inception5a(maxpool4(y)));
  return fc(dropout(flatten(avgpool(y))));
}

std::vector<ModelInfo> googlenet_models() {
  constexpr const char* kPaper = "Szegedy et al. 2014, Going Deeper with Convolutions, arXiv:1409.4842";
  return {{.name = "googlenet_paper",
           .family = "googlenet",
           .title = "GoogLeNet (Inception-v1)",
           .year = 2014,
           .paper = kPaper,
           .input = 224,
           .smallest = 47,
           .classes = 1000,
           .naming = "caffe",
           .top5_error = 10.07,
           .build = build_net<GoogLeNetPaper>},
          {.name = "googlenet",
           .family = "googlenet",
           .title = "GoogLeNet with batch norm, torchvision's",
           .year = 2014,
           .paper = kPaper,
           .input = 224,
           .smallest = 31,
           .classes = 1000,
           .naming = "torchvision",
           .build = build_net<GoogLeNet>},
          {.name = "cifar_googlenet",
           .family = "googlenet",
           .title = "GoogLeNet with batch norm for small images",
           .year = 2014,
           .paper = kPaper,
           .input = 32,
           .smallest = 1,
           .classes = 10,
           .naming = "torchvision",
           .build = build_net<CifarGoogLeNet>}};
}

}  // namespace gradus::zoo
