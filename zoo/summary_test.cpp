#include "zoo/summary.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "nn/optim/sgd.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"

using namespace gradus;

TEST_CASE("summary: one row per layer, in the order in which they run") {
  const zoo::Summary summary = zoo::summarize("lenet5");
  REQUIRE(summary.layers.size() == 8);
  CHECK(summary.layers[0].name == "conv1");
  CHECK(summary.layers[0].type == "Conv2d");
  CHECK(summary.layers[0].output == Shape{1, 6, 28, 28});
  CHECK(summary.layers[0].parameters == 6 * 75 + 6);
  CHECK(summary.layers[0].multiply_adds == 6 * 28 * 28 * 75);
  CHECK(summary.layers[7].output == Shape{1, 10});
}

TEST_CASE("summary: as JSON and as text") {
  const zoo::Summary summary = zoo::summarize("cifar_resnet20");
  const nlohmann::json json = nlohmann::json::parse(zoo::to_json(summary));
  CHECK(json["parameters"] == 269'722);
  CHECK(json["multiply_adds"] == 40'551'040);
  CHECK(json["layers"][0]["name"] == "conv1");
  CHECK(zoo::to_text(summary).find("parameters 269,722 in 59 tensors, multiply-adds 40,551,040") != std::string::npos);
}

TEST_CASE("summary: another image size, and one too small") {
  CHECK(zoo::summarize("vgg11", {}, 64).layers.back().output == Shape{1, 1000});
  CHECK_THROWS_WITH_AS(zoo::summarize("vgg11", {}, 31), doctest::Contains("features.20: max_pool2d: "), LayerError);
}

TEST_CASE("summary: the predicted memory of a training step is what the allocator reports, to a tenth") {
  // Where batches are small, kernels' workspaces weigh most: ZFNet's are a fifth of its peak.
  for (const auto& row : {std::pair<const char*, std::int64_t>{"cifar_resnet20", 8},
                          {"cifar_densenet40_k12", 8},
                          {"cifar_densenet_bc100_k12", 4},
                          {"cifar_googlenet", 8},
                          {"cifar_resnet20", 2},
                          {"cifar_alexnet", 4},
                          {"cifar_zfnet", 4},
                          {"cifar_zfnet", 16},
                          {"cifar_googlenet", 2},
                          {"cifar_vgg16_bn", 4},
                          {"cifar_se_resnet20", 4}}) {
    const std::string model = row.first;
    const std::int64_t batch = row.second;
    CAPTURE(model);
    CAPTURE(batch);
    const std::int64_t predicted = zoo::predict_memory(model, batch).peak;

    const std::int64_t before = memory_stats(kCpu).current;
    const auto net = zoo::build(model);
    optim::Sgd sgd(*net, {.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
    const Tensor x = gradus::rand({batch, 3, 32, 32});
    const Tensor labels = zeros({batch}, {.dtype = DType::i64});
    for (int step = 0; step < 2; ++step) {
      reset_peak_memory(kCpu);
      net->zero_grad();
      backward(cross_entropy((*net)(x), labels));
      sgd.step();
    }
    const std::int64_t measured = memory_stats(kCpu).peak - before;
    CHECK(static_cast<double>(predicted) / static_cast<double>(measured) == doctest::Approx(1).epsilon(0.1));
  }
}

TEST_CASE("summary: recomputing blocks lowers the peak") {
  for (const char* model :
       {"resnet50", "densenet121", "inception_v3", "dpn68", "se_resnet50", "googlenet_paper", "vgg19", "vgg16_bn"}) {
    CAPTURE(std::string(model));
    CHECK(zoo::predict_memory(model, 8, {.recompute = true}).peak < zoo::predict_memory(model, 8).peak);
  }
}
