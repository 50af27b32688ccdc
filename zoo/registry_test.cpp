// The whole zoo against the published figures: names, shapes, parameters, multiply-adds. On the meta device, where a
// network has shapes and no values.

#include "zoo/registry.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "nn/layers/conv2d.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"
#include "tests/harness/paths.hpp"
#include "zoo/model_name.hpp"
#include "zoo/resnet/stochastic_depth.hpp"
#include "zoo/summary.hpp"

using namespace gradus;

namespace {

struct Figures {
  const char* model;
  std::int64_t parameters, multiply_adds;
  std::size_t tensors;
};

// Trainable values with auxiliary heads; multiply-adds of one native image without them; trainable tensors.
const Figures kFigures[] = {
    {"alexnet_paper", 60'965'224, 724'406'816, 16},
    {"alexnet", 61'100'840, 714'188'480, 16},
    {"zfnet", 62'357'608, 1'168'032'896, 16},
    {"vgg11", 132'863'336, 7'609'090'048, 22},
    {"vgg11_lrn", 132'863'336, 7'609'090'048, 22},
    {"vgg13", 133'047'848, 11'308'466'176, 26},
    {"vgg16_c", 133'638'952, 11'770'888'192, 32},
    {"vgg16", 138'357'544, 15'470'264'320, 32},
    {"vgg19", 143'667'240, 19'632'062'464, 38},
    {"vgg11_bn", 132'868'840, 7'609'090'048, 38},
    {"vgg13_bn", 133'053'736, 11'308'466'176, 46},
    {"vgg16_bn", 138'365'992, 15'470'264'320, 58},
    {"vgg19_bn", 143'678'248, 19'632'062'464, 70},
    {"googlenet_paper", 13'378'280, 1'582'671'872, 128},
    {"googlenet", 13'004'888, 1'498'376'192, 187},
    {"bninception", 11'295'240, 2'032'600'064, 278},
    {"inception_v3", 27'161'264, 5'713'216'096, 292},
    {"inceptionv4", 42'679'816, 12'253'974'624, 449},
    {"inceptionresnetv2", 55'843'464, 13'155'794'016, 694},
    {"resnet18", 11'689'512, 1'814'073'344, 62},
    {"resnet34", 21'797'672, 3'663'761'408, 110},
    {"resnet50", 25'557'032, 4'089'184'256, 161},
    {"resnet101", 44'549'160, 7'801'405'440, 314},
    {"resnet152", 60'192'808, 11'513'626'624, 467},
    {"wide_resnet50_2", 68'883'240, 11'398'021'120, 161},
    {"wide_resnet101_2", 126'886'696, 22'753'050'624, 314},
    {"resnext50_32x4d", 25'028'904, 4'230'479'872, 161},
    {"resnext101_32x4d", 44'177'704, 7'969'996'800, 314},
    {"resnext101_32x8d", 88'791'336, 16'414'015'488, 314},
    {"resnext101_64x4d", 83'455'272, 15'460'270'080, 314},
    {"densenet121", 7'978'856, 2'834'161'664, 364},
    {"densenet169", 14'149'480, 3'359'843'328, 508},
    {"densenet201", 20'013'928, 4'291'365'888, 604},
    {"densenet264", 33'337'704, 5'751'653'376, 796},
    {"densenet161", 28'681'000, 7'727'907'072, 484},
    {"se_resnet50", 28'088'024, 3'860'488'192, 225},
    {"se_resnet101", 49'326'872, 7'574'937'600, 446},
    {"se_resnet152", 66'821'848, 11'288'993'792, 667},
    {"se_resnext50_32x4d", 27'559'896, 4'232'994'816, 225},
    {"se_resnext101_32x4d", 48'955'416, 7'974'739'968, 446},
    {"senet154", 115'088'984, 20'688'363'520, 673},
    {"se_inception", 11'931'622, 2'033'239'424, 249},
    {"se_inceptionresnetv2", 64'387'444, 13'164'289'376, 854},
    {"dpn68", 12'611'602, 2'326'163'456, 217},
    {"dpn92", 37'668'392, 6'501'684'224, 289},
    {"cifar_resnet20", 269'722, 40'551'040, 59},
    {"cifar_resnet32", 464'154, 68'862'592, 95},
    {"cifar_resnet44", 658'586, 97'174'144, 131},
    {"cifar_resnet56", 853'018, 125'485'696, 167},
    {"cifar_resnet110", 1'727'962, 252'887'680, 329},
    {"cifar_plain20", 269'722, 40'551'040, 59},
    {"cifar_plain32", 464'154, 68'862'592, 95},
    {"cifar_plain44", 658'586, 97'174'144, 131},
    {"cifar_plain56", 853'018, 125'485'696, 167},
    {"cifar_preresnet110", 1'730'522, 253'149'824, 331},
    {"cifar_preresnet164", 1'703'258, 244'500'992, 494},
    {"cifar_sdresnet110", 1'727'962, 252'887'680, 329},
    {"cifar_resnext29_8x64d", 34'426'698, 5'387'266'048, 95},
    {"cifar_densenet40_k12", 1'019'722, 264'812'928, 119},
    {"cifar_densenet_bc100_k12", 769'162, 287'929'692, 299},
    {"cifar_densenet_bc190_k40", 25'624'430, 9'301'945'740, 569},
    {"cifar_se_resnet20", 272'095, 40'553'056, 95},
    {"cifar_se_resnet56", 860'137, 125'491'744, 275},
    {"cifar_vgg16_bn", 14'728'266, 313'201'664, 54},
    {"cifar_alexnet", 5'871'434, 182'220'800, 16},
    {"cifar_zfnet", 6'741'898, 207'570'944, 16},
    {"cifar_googlenet", 5'871'914, 1'447'241'728, 167},
    {"squeezenet1_0", 1'248'424, 818'924'576, 52},
    {"squeezenet1_1", 1'235'496, 349'151'936, 52},
    {"lenet5", 62'006, 651'720, 10},
    {"mlp", 1'841'162, 1'840'128, 6},
};

std::string state_list(Module& net) {
  std::string list;
  for (const NamedState& entry : net.state()) {
    list += entry.name + " ";
    for (int d = 0; d < entry.tensor->rank(); ++d) list += (d ? "x" : "") + std::to_string(entry.tensor->size(d));
    list += entry.is_buffer ? " buffer\n" : "\n";
  }
  return list;
}

Tensor image(std::int64_t side) { return empty({1, 3, side, side}, {.device = kMeta}); }

}  // namespace

TEST_CASE("zoo: parameters, tensors and multiply-adds are the published ones") {
  for (const Figures& expected : kFigures) {
    CAPTURE(std::string(expected.model));
    const zoo::Summary summary = zoo::summarize(expected.model);
    CHECK(summary.parameters == expected.parameters);
    CHECK(summary.multiply_adds == expected.multiply_adds);
    CHECK(summary.parameter_tensors == expected.tensors);
  }
}

TEST_CASE("zoo: state dict names and shapes are those of the published checkpoints, in order") {
  const ConstructOn meta(kMeta);
  int compared = 0;
  for (const zoo::ModelInfo& model : zoo::models()) {
    std::ifstream file(test::source_dir() + "/tests/names/" + model.name + ".txt");
    if (!file) continue;
    CAPTURE(model.name);
    std::stringstream expected;
    expected << file.rdbuf();
    const std::string got = state_list(*zoo::build(model.name));
    if (got != expected.str()) FAIL_CHECK("names or shapes differ");
    ++compared;
  }
  CHECK(compared == 67);
}

TEST_CASE("zoo: every model gives [N, classes] for any number of classes") {
  const ConstructOn meta(kMeta);
  for (const zoo::ModelInfo& model : zoo::models()) {
    CAPTURE(model.name);
    const auto net = zoo::build(model.name, {.classes = 7});
    net->eval();
    CHECK((*net)(image(model.input)).shape() == Shape{1, 7});
  }
}

TEST_CASE("zoo: the smallest legal image works and one pixel less is an error that names the layer") {
  const ConstructOn meta(kMeta);
  const NoGrad off;
  for (const zoo::ModelInfo& model : zoo::models()) {
    CAPTURE(model.name);
    const auto net = zoo::build(model.name);
    net->eval();
    CHECK((*net)(image(model.smallest)).shape() == Shape{1, model.classes});
    if (model.smallest == 1) continue;
    std::string message;
    try {
      (*net)(image(model.smallest - 1));
    } catch (const LayerError& error) {
      message = error.what();
    }
    const std::string layer = message.substr(0, message.find(": "));
    bool is_a_layer = false;
    for (const NamedModule& m : net->named_modules()) is_a_layer |= !layer.empty() && m.name.starts_with(layer);
    CHECK_MESSAGE(is_a_layer, message);
  }
}

TEST_CASE("zoo: with auxiliary heads only in training") {
  const ConstructOn meta(kMeta);
  struct {
    const char* model;
    std::size_t heads;
    double weight;
  } const cases[] = {{"googlenet_paper", 2, 0.3}, {"googlenet", 2, 0.3}, {"inception_v3", 1, 0.4}, {"resnet18", 0, 0}};
  for (const auto& c : cases) {
    CAPTURE(std::string(c.model));
    const auto net = zoo::build(c.model);
    const Tensor x = empty({2, 3, zoo::find_model(c.model).input, zoo::find_model(c.model).input}, {.device = kMeta});
    const Heads training = net->forward_heads(x);
    CHECK(training.auxiliary.size() == c.heads);
    for (const Heads::Auxiliary& head : training.auxiliary) {
      CHECK(head.logits.shape() == Shape{2, 1000});
      CHECK(head.loss_weight == c.weight);
    }
    net->eval();
    CHECK(net->forward_heads(x).auxiliary.empty());
  }
}

TEST_CASE("zoo: an unknown name is an error with the nearest names") {
  CHECK_THROWS_WITH_AS(
      zoo::find_model("resnet5O"),
      "model: no \"resnet5O\"; the nearest names are resnet50, cifar_resnet56 and resnet18 (`gradus models` "
      "lists all)",
      ValueError);
}

TEST_CASE("zoo: short names mean the small form where only it exists or images are small") {
  CHECK(zoo::find_model("resnet20").name == "cifar_resnet20");
  CHECK(zoo::find_model("vgg16_bn").name == "vgg16_bn");
  CHECK(zoo::find_model("vgg16_bn", true).name == "cifar_vgg16_bn");
  CHECK(zoo::find_model("resnet50", true).name == "resnet50");
}

TEST_CASE("zoo: options change what they name") {
  const ConstructOn meta(kMeta);
  const auto count = [](const char* model, const zoo::ModelOptions& options) {
    return zoo::build(model, options)->parameter_count();
  };
  CHECK(count("densenet121", {.growth_rate = 48}) > count("densenet121", {}));
  CHECK(count("resnext50_32x4d", {.cardinality = 1, .base_width = 64}) == count("resnet50", {}));
  CHECK(count("resnet50", {.base_width = 128}) == count("wide_resnet50_2", {}));
  CHECK(count("resnext101_32x4d", {.base_width = 8}) == count("resnext101_32x8d", {}));
  CHECK(count("se_resnet50", {.reduction = 8}) > count("se_resnet50", {}));
  CHECK(count("resnet18", {.image_channels = 1}) == count("resnet18", {}) - 2 * 64 * 49);
  CHECK(count("mlp", {.image_size = 8}) < count("mlp", {}));
  CHECK_THROWS_AS(zoo::build("densenet121", {.compression = 2}), ValueError);
  CHECK_THROWS_AS(zoo::build("vgg16", {.dropout = 1.5}), ValueError);
}

TEST_CASE("zoo: options may follow the name") {
  const ConstructOn meta(kMeta);
  const auto count = [](const char* model, const zoo::ModelOptions& options = {}) {
    return zoo::build(model, options)->parameter_count();
  };
  CHECK(count("densenet121:growth_rate=48,compression=0.25") ==
        count("densenet121", {.growth_rate = 48, .compression = 0.25}));
  CHECK(count("resnext50_32x4d:cardinality=1,base_width=64") == count("resnet50"));
  CHECK(count("se_resnet50:reduction=8") == count("se_resnet50", {.reduction = 8}));
  CHECK(count("se_resnet50:reduction=8", {.reduction = 4}) == count("se_resnet50", {.reduction = 8}));
  CHECK(zoo::find_model("resnet50:stride_on_1x1").name == "resnet50");
  CHECK(zoo::canonical_name("densenet40_k12:dropout=0.2,growth_rate=24") ==
        "cifar_densenet40_k12:dropout=0.2,growth_rate=24");
  CHECK(zoo::canonical_name("vgg16_bn", true) == "cifar_vgg16_bn");
  CHECK(zoo::summarize("resnet50:stride_on_1x1").multiply_adds < zoo::summarize("resnet50").multiply_adds);
  CHECK(zoo::predict_memory("resnet50:recompute", 2).peak < zoo::predict_memory("resnet50", 2).peak);
  CHECK_THROWS_WITH_AS(
      zoo::build("resnet50:growth=2"),
      "model: resnet50: no option \"growth\"; there are dropout, growth_rate, compression, cardinality, "
      "base_width, reduction, survival, stride_on_1x1, zero_last_norm, recompute",
      ValueError);
  CHECK_THROWS_WITH_AS(zoo::build("densenet121:growth_rate=many"),
                       "model: densenet121: growth_rate is a number, got \"many\"", ValueError);
  CHECK_THROWS_WITH_AS(zoo::build("densenet121:growth_rate=1.5"),
                       "model: densenet121: growth_rate is a whole number, got 1.5", ValueError);
  CHECK_THROWS_AS(zoo::find_model("vgg16:dropout=x"), ValueError);
}

TEST_CASE("zoo: recomputed blocks give the same gradients and running statistics to the bit") {
  struct Step {
    std::vector<double> values;
  };
  const auto step = [](const char* model, bool recompute) {
    manual_seed(7);
    const auto net = zoo::build(model, {.recompute = recompute});
    const Tensor x = gradus::rand({4, 3, 32, 32});
    backward(cross_entropy((*net)(x), arange(0, 4)));
    Step result;
    for (NamedState& entry : net->state()) {
      const Tensor t = entry.is_buffer ? *entry.tensor : grad_of(*entry.tensor);
      for (const double v : t.to_vector<double>()) result.values.push_back(v);
    }
    return result;
  };
  // Dropout and stochastic depth among them: the second run must draw what the first one drew.
  for (const char* model :
       {"cifar_resnet20", "cifar_se_resnet20", "cifar_densenet40_k12", "cifar_preresnet110", "cifar_vgg16_bn"}) {
    CAPTURE(std::string(model));
    CHECK(step(model, false).values == step(model, true).values);
  }
}

TEST_CASE("zoo: stochastic depth keeps a block as often as equation 4 says, and leaves dropped blocks alone") {
  manual_seed(3);
  const auto net = zoo::build("cifar_sdresnet110");
  auto* owner = dynamic_cast<zoo::HasStochasticDepth*>(net.get());
  REQUIRE(owner);
  const zoo::StochasticDepth& depth = *owner->stochastic_depth();
  CHECK(depth.survival(0) == doctest::Approx(1 - 0.5 / 54));
  CHECK(depth.survival(53) == doctest::Approx(0.5));
  int dropped = 0;
  for (int i = 0; i < 1000; ++i) dropped += depth.drops(53);
  CHECK(dropped > 440);
  CHECK(dropped < 560);
  CHECK_THROWS_AS(zoo::build("cifar_sdresnet110", {.survival = 1.5}), ValueError);
}
