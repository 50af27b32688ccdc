#include "zoo/inception/bn_inception.hpp"

#include "nn/branches.hpp"
#include "nn/layers/batch_norm.hpp"
#include "nn/layers/conv2d.hpp"
#include "nn/layers/conv_bn.hpp"
#include "nn/layers/squeeze_excite.hpp"
#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {

/// relu(bn(conv(x))) under the names "name" and "name_bn".
struct NamedUnit : Module {
  NamedUnit(std::string layer, std::int64_t in, std::int64_t out, const Conv2dConfig& config)
      : name(std::move(layer)), conv(in, out, config), bn(out) {}
  Tensor forward(const Tensor& x) override { return conv_bn_relu(conv, bn, x); }
  void members(MemberVisitor& visit) override {
    visit(name, conv);
    visit(name + "_bn", bn);
  }
  std::string type_name() const override { return "ConvBnRelu"; }

  std::string name;
  Conv2d conv;
  BatchNorm2d bn;
};

/// Squeeze and excitation under the names "name_1x1_down" and "name_1x1_up".
struct NamedExcite : SqueezeExcite {
  NamedExcite(std::string block, std::int64_t channels, std::int64_t reduction)
      : SqueezeExcite(channels, reduction), name(std::move(block)) {}
  void members(MemberVisitor& visit) override {
    visit(name + "_1x1_down", fc1);
    visit(name + "_1x1_up", fc2);
  }
  std::string name;
};

enum class Pool { average, max, none };  // none: max without projection, the block halves the map

/// A row of figure 5's table; c1x1 = 0 where the branch is missing.
struct Row {
  const char* name;
  std::int64_t in, c1x1, reduce3x3, c3x3, reduce_double, double1, double2;
  std::int64_t projected;
  Pool pool;
  bool halves() const { return pool == Pool::none; }
  std::int64_t out() const { return c1x1 + c3x3 + double2 + (halves() ? in : projected); }
};

// clang-format off
//                     in   1x1  3x3r  3x3   dbl r, a, b      pool
constexpr Row k3a{"3a", 192,  64,  64,  64,   64,  96,  96,   32, Pool::average};
constexpr Row k3b{"3b", 256,  64,  64,  96,   64,  96,  96,   64, Pool::average};
constexpr Row k3c{"3c", 320,   0, 128, 160,   64,  96,  96,    0, Pool::none};
constexpr Row k4a{"4a", 576, 224,  64,  96,   96, 128, 128,  128, Pool::average};
constexpr Row k4b{"4b", 576, 192,  96, 128,   96, 128, 128,  128, Pool::average};
constexpr Row k4c{"4c", 576, 160, 128, 160,  128, 160, 160,  128, Pool::average};
constexpr Row k4d{"4d", 608,  96, 128, 192,  160, 192, 192,  128, Pool::average};
constexpr Row k4e{"4e", 608,   0, 128, 192,  192, 256, 256,    0, Pool::none};
constexpr Row k5a{"5a", 1056, 352, 192, 320, 160, 224, 224,  128, Pool::average};
constexpr Row k5b{"5b", 1024, 352, 192, 320, 192, 224, 224,  128, Pool::max};
// clang-format on

Branches block(const Row& r, bool bias) {
  const std::string prefix = std::string("inception_") + r.name;
  const auto unit = [&](const char* layer, std::int64_t in, std::int64_t out, std::int64_t kernel,
                        std::int64_t stride = 1) {
    return NamedUnit(prefix + layer, in, out,
                     {.kernel = kernel, .stride = stride, .padding = kernel / 2, .bias = bias});
  };
  const std::int64_t stride = r.halves() ? 2 : 1;  // in the last 3x3 of a branch

  Branches b;
  if (r.c1x1 > 0) b.add("", unit("_1x1", r.in, r.c1x1, 1));
  Sequential single;
  single.add("", unit("_3x3_reduce", r.in, r.reduce3x3, 1));
  single.add("", unit("_3x3", r.reduce3x3, r.c3x3, 3, stride));
  b.add("", std::move(single));
  Sequential twice;
  twice.add("", unit("_double_3x3_reduce", r.in, r.reduce_double, 1));
  twice.add("", unit("_double_3x3_1", r.reduce_double, r.double1, 3));
  twice.add("", unit("_double_3x3_2", r.double1, r.double2, 3, stride));
  b.add("", std::move(twice));
  Sequential pool;
  if (r.pool == Pool::average) pool.add(prefix + "_pool", AvgPool2d(3, {.stride = 1, .padding = 1}));
  if (r.pool == Pool::max) pool.add(prefix + "_pool", MaxPool2d(3, {.stride = 1, .padding = 1}));
  if (r.pool == Pool::none) pool.add(prefix + "_pool", MaxPool2d(3, {.stride = 2, .ceil_mode = true}));
  if (!r.halves()) pool.add("", unit("_pool_proj", r.in, r.projected, 1));
  b.add("", std::move(pool));
  b.as_block(prefix);
  return b;
}

}  // namespace

BnInception::BnInception(bool excited, const ModelOptions& options)
    : drop(or_paper(options.dropout, 0)), last_linear(1024, or_paper(options.classes, 1000)) {
  const bool bias = !excited;
  const auto halve = [] { return MaxPool2d(3, {.stride = 2, .ceil_mode = true}); };
  body.add("", NamedUnit("conv1_7x7_s2", or_paper(options.image_channels, 3), 64,
                         {.kernel = 7, .stride = 2, .padding = 3, .bias = bias}));  // 112
  body.add("pool1_3x3_s2", halve());                                                // 56
  body.add("", NamedUnit("conv2_3x3_reduce", 64, 64, {.kernel = 1, .bias = bias}));
  body.add("", NamedUnit("conv2_3x3", 64, 192, {.kernel = 3, .padding = 1, .bias = bias}));
  body.add("pool2_3x3_s2", halve());  // 28
  for (const Row& row : {k3a, k3b, k3c, k4a, k4b, k4c, k4d, k4e, k5a, k5b}) {
    body.add("", block(row, bias));
    if (excited)
      body.add("", NamedExcite(std::string("inception_") + row.name, row.out(), or_paper(options.reduction, 16)));
  }
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

void BnInception::members(MemberVisitor& visit) {
  visit("", body);
  visit("global_pool", global_pool);
  visit("flatten", flatten);
  visit("drop", drop);
  visit("last_linear", last_linear);
}

Tensor BnInception::forward(const Tensor& x) { return last_linear(drop(flatten(global_pool(body(x))))); }

namespace {
template <bool excited>
std::unique_ptr<Classifier> bn_inception(const ModelOptions& options) {
  return std::make_unique<BnInception>(excited, options);
}
}  // namespace

std::vector<ModelInfo> bn_inception_models() {
  return {{.name = "bninception",
           .family = "inception",
           .title = "BN-Inception (Inception-v2)",
           .year = 2015,
           .paper = "Ioffe and Szegedy 2015, Batch Normalization, arXiv:1502.03167",
           .input = 224,
           .smallest = 63,
           .classes = 1000,
           .naming = "pretrainedmodels",
           .top1_error = 25.2,
           .top5_error = 7.8,
           .build = bn_inception<false>},
          {.name = "se_inception",
           .family = "senet",
           .title = "SE-BN-Inception",
           .year = 2017,
           .paper = "Hu et al. 2017, Squeeze-and-Excitation Networks, arXiv:1709.01507",
           .input = 224,
           .smallest = 63,
           .classes = 1000,
           .naming = "pretrainedmodels",
           .top1_error = 24.23,
           .top5_error = 7.14,
           .build = bn_inception<true>}};
}

}  // namespace gradus::zoo
