// Every family of the zoo learns 32 real pictures by heart: 32 of CIFAR-10 (tests/files/cifar), enlarged where the
// network asks for it. A network whose gradients are wrong somewhere, or whose evaluation mode is not the network that
// was trained, does not get there.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <set>

#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "nn/init.hpp"
#include "nn/losses.hpp"
#include "nn/optim/adam.hpp"
#include "ops/upsample/upsample.hpp"
#include "ops/view/view.hpp"
#include "tests/harness/paths.hpp"
#include "tests/harness/sanitizer.hpp"
#include "zoo/registry.hpp"

using namespace gradus;

namespace {

constexpr std::int64_t kImages = 32, kSide = 32, kClasses = 10;

struct Row {
  const char* family;
  const char* model;
  std::int64_t side;  // of the pictures
  int steps;          // of Adam within which every picture is classified right in evaluation mode
  double lr = 1e-3;
  const char* live = nullptr;  // a bias that starts at 1
};

// A cheap member of each family, at a small size that it takes. Steps: twice what was needed, or more.
const Row kRows[] = {
    {"mlp", "mlp", 32, 20},
    {"lenet", "lenet5", 32, 150, 3e-3},
    {"alexnet", "cifar_alexnet", 32, 60},
    {"vgg", "cifar_vgg16_bn", 32, 70},
    {"googlenet", "googlenet", 32, 130},
    {"inception", "bninception", 64, 70},
    {"senet", "se_resnet50", 32, 80},
    {"resnet", "resnet18", 32, 60},
    {"cifar_resnet", "cifar_resnet20", 32, 40},
    {"preresnet", "preresnet18", 32, 60},
    {"resnext", "resnext50_32x4d", 32, 140},
    {"densenet", "densenet121", 32, 50},
    {"dpn", "dpn68", 32, 130},
    // Its logits pass a ReLU: a class whose logit is below zero for every picture gets no gradient, ever. At 1 all
    // live.
    {"squeezenet", "squeezenet1_1", 32, 60, 5e-4, "classifier.1.bias"},
};

struct Pictures {
  Tensor x;       // [32, 3, 32, 32], channels-last, about -2 .. 2
  Tensor labels;  // [32]
};

Pictures read_pictures() {
  std::ifstream file(test::source_dir() + "/tests/files/cifar/cifar10_32.bin", std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  constexpr std::size_t record = 1 + 3 * kSide * kSide;
  REQUIRE(bytes.size() == kImages * record);
  std::vector<float> values;
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i % record == 0)
      labels.push_back(byte);
    else
      values.push_back((static_cast<float>(byte) / 255 - 0.5f) * 4);
  }
  return {channels_last(from_data<float>(values, {kImages, 3, kSide, kSide})),
          from_data<std::int64_t>(labels, {kImages}, {.dtype = DType::i64})};
}

/// Pictures that the network, in evaluation mode, takes for another class.
int errors(Classifier& net, const Pictures& pictures) {
  const NoGrad off;
  net.eval();
  const std::vector<float> logits = net(pictures.x).to_vector<float>();
  net.train();
  const std::vector<std::int64_t> labels = pictures.labels.to_vector<std::int64_t>();
  int wrong = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto first = logits.begin() + static_cast<std::ptrdiff_t>(i * kClasses);
    wrong += std::max_element(first, first + kClasses) - first != labels[i];
  }
  return wrong;
}

}  // namespace

TEST_CASE("overfit: every family of the zoo has a row") {
  std::set<std::string> families, rows;
  for (const zoo::ModelInfo& model : zoo::models()) families.insert(model.family);
  for (const Row& row : kRows) {
    CHECK(zoo::find_model(row.model).family == row.family);
    rows.insert(row.family);
  }
  CHECK(families == rows);
}

TEST_CASE("overfit: each family classifies 32 real pictures without error within the stated number of steps") {
  const Pictures small = read_pictures();
  for (const Row& row : kRows) {
    SUBCASE(row.model) {
      manual_seed(1);
      Pictures pictures = small;
      if (test::kSanitized)  // the subject is memory and threads, which one step shows as well
        pictures = {channels_last(narrow(small.x, 0, 0, 4)), narrow(small.labels, 0, 0, 4)};
      if (row.side != kSide)
        pictures.x = interpolate(pictures.x, {.size = Pair(row.side), .mode = Interpolation::bilinear});
      const auto net = zoo::build(row.model, {.classes = kClasses, .image_size = row.side, .dropout = 0});
      if (row.live)
        for (NamedParameter& p : net->named_parameters())
          if (p.name == row.live) init::constant(*p.parameter, 1);
      optim::Adam adam(*net, {.lr = row.lr});
      CHECK(errors(*net, pictures) > 0);

      constexpr int kCheckEvery = 5;
      const int steps = test::kSanitized ? 1 : row.steps;
      int step = 0, wrong = kImages;
      double loss = 0;
      while (wrong > 0 && step < steps) {
        const Tensor total = heads_loss(net->forward_heads(pictures.x), pictures.labels);
        adam.zero_grad();
        backward(total);
        adam.step();
        loss = total.item();
        if (++step % kCheckEvery == 0) wrong = errors(*net, pictures);
      }
      INFO("after " << step << " steps, loss " << loss);
      CHECK(std::isfinite(loss));
      if (!test::kSanitized) CHECK(wrong == 0);
      MESSAGE(std::string(row.model), ": ", step, " steps");
    }
  }
}
