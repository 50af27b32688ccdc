// Networks on cuda:0 against the CPU: a training step of ResNet-20 and of a small net of each family, and a few steps
// that learn.

#include "tests/cuda/both.hpp"

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "cuda/runtime.hpp"
#include "nn/captured_step.hpp"
#include "nn/losses.hpp"
#include "nn/optim/sgd.hpp"
#include "ops/dropout/dropout.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "tests/cuda/pictures.hpp"
#include "tests/harness/paths.hpp"
#include "zoo/registry.hpp"

namespace gradus {
namespace {

using test::kCuda;
using test::Pictures;

/// The first n of 32 pictures of CIFAR-10 (tests/files/cifar), about -2 .. 2.
Pictures cifar_pictures(std::int64_t n) {
  constexpr std::int64_t kSide = 32, kRecord = 1 + 3 * kSide * kSide;
  std::ifstream file(test::source_dir() + "/tests/files/cifar/cifar10_32.bin", std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(static_cast<std::int64_t>(bytes.size()) >= n * kRecord);
  Pictures pictures(n, kSide, 10, 0);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto byte = [&](std::int64_t at) {
      return static_cast<unsigned char>(bytes[static_cast<std::size_t>(i * kRecord + at)]);
    };
    pictures.labels.data<std::int64_t>()[i] = byte(0);
    for (std::int64_t at = 0; at < kSide * kSide; ++at)
      for (std::int64_t c = 0; c < 3; ++c)
        pictures.images.data<float>()[(i * kSide * kSide + at) * 3 + c] =
            (static_cast<float>(byte(1 + c * kSide * kSide + at)) / 255 - 0.5f) * 4;
  }
  return pictures;
}

struct Step {
  double loss = 0;
  std::map<std::string, Tensor> gradients, state;  // on the CPU
};

/// One step of SGD from the same weights, on either device.
Step step_on(Device device, DType dtype, const std::string& model, const zoo::ModelOptions& options,
             const Pictures& batch) {
  manual_seed(7);
  const auto net = zoo::build(model, options);
  net->to(dtype);
  net->to(device);
  net->train();
  optim::Sgd sgd(optim::one_group(*net), {.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-4});
  manual_seed(11);  // dropout
  const Tensor loss = heads_loss(net->forward_heads(to(to(batch.images, dtype), device)), to(batch.labels, device));
  backward(loss);
  Step step;
  step.loss = loss.item();
  for (const NamedParameter& p : net->named_parameters())
    if (const Tensor g = grad_of(*p.parameter); g.defined()) step.gradients[p.name] = to(g.detach(), kCpu).clone();
  sgd.step();
  for (const NamedState& s : net->state()) step.state[s.name] = to(s.tensor->detach(), kCpu).clone();
  return step;
}

/// |a - b| / |b| of a whole tensor, with a floor for gradients that are zero but for rounding.
double relative(const Tensor& a, const Tensor& b, double floor) {
  const auto u = a.to_vector<double>(), v = b.to_vector<double>();
  REQUIRE(u.size() == v.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    difference += (u[i] - v[i]) * (u[i] - v[i]);
    norm += v[i] * v[i];
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), floor);
}

/// What the two devices may differ by: the loss of itself, each gradient, weight and running statistic of its norm. In
/// f32 a handful of activations within rounding of zero pass ReLU, or win a maximum, on one device only; in f64 that is
/// left out, and the kernels' formulas are compared to many digits. kF32Small is for last maps so small
/// (2x2 places in BN-Inception, one in SE-ResNet-50 and DPN-68) that few values make a batch norm's statistics.
struct Bounds {
  double loss, tensors;
};
constexpr Bounds kF32{1e-5, 1e-3}, kF32Deep{1e-4, 5e-2}, kF32Small{1e-4, 2e-1}, kF64{1e-10, 1e-7};

void check_step(const std::string& model, const zoo::ModelOptions& options, const Pictures& batch, DType dtype,
                const Bounds& bounds) {
  CAPTURE(model);
  CAPTURE(dtype_name(dtype));
  const Step cpu = step_on(kCpu, dtype, model, options, batch), cuda = step_on(kCuda, dtype, model, options, batch);
  CHECK(std::abs(cuda.loss - cpu.loss) <= bounds.loss * std::abs(cpu.loss));
  double largest = 0;
  for (const auto& [name, g] : cpu.gradients)
    for (const double v : g.to_vector<double>()) largest = std::max(largest, std::abs(v));
  REQUIRE(cuda.gradients.size() == cpu.gradients.size());
  double worst = 0;
  std::string at;
  const auto note = [&](double difference, const std::string& name) {
    if (difference > worst || std::isnan(difference)) worst = difference, at = name;
  };
  for (const auto& [name, g] : cpu.gradients)
    note(relative(cuda.gradients.at(name), g, 1e-3 * largest), "gradient of " + name);
  for (const auto& [name, s] : cpu.state) note(relative(cuda.state.at(name), s, 1e-3), name + " after the step");
  CAPTURE(at);
  CHECK(worst <= bounds.tensors);
}

}  // namespace

TEST_CASE("training: a step of ResNet-20 has the CPU's loss, gradients, weights and statistics") {
  const Pictures batch(8, 32, 10, 1);
  check_step("cifar_resnet20", {}, batch, DType::f32, kF32);
  check_step("cifar_resnet20", {}, batch, DType::f64, kF64);
}

TEST_CASE("training: a few steps lower the loss of ResNet-20, the same twice") {
  const Pictures batch(16, 32, 10, 2);
  std::vector<std::vector<double>> runs;
  for (int run = 0; run < 2; ++run) {
    manual_seed(3);
    const auto net = zoo::build("cifar_resnet20", {});
    net->to(kCuda);
    net->train();
    optim::Sgd sgd(optim::one_group(*net), {.lr = 0.1, .momentum = 0.9});
    const Tensor images = to(batch.images, kCuda), labels = to(batch.labels, kCuda);
    std::vector<double>& losses = runs.emplace_back();
    for (int i = 0; i < (run == 0 ? 8 : 3); ++i) {
      sgd.zero_grad();
      const Tensor loss = cross_entropy((*net)(images), labels);
      backward(loss);
      sgd.step();
      losses.push_back(loss.item());
    }
  }
  CHECK(runs[0].back() < 0.6 * runs[0].front());
  for (std::size_t i = 0; i < runs[1].size(); ++i) CHECK(runs[1][i] == runs[0][i]);  // bit for bit
}

TEST_CASE("training: a few steps on real pictures of CIFAR-10 lower the loss, as they do on the CPU") {
  const Pictures batch = cifar_pictures(32);
  const auto losses_on = [&](Device device) {
    manual_seed(3);
    const auto net = zoo::build("cifar_resnet20", {});
    net->to(device);
    net->train();
    optim::Sgd sgd(optim::one_group(*net), {.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-4});
    const Tensor images = to(batch.images, device), labels = to(batch.labels, device);
    std::vector<double> losses;
    for (int i = 0; i < 8; ++i) {
      sgd.zero_grad();
      const Tensor loss = cross_entropy((*net)(images), labels);
      backward(loss);
      sgd.step();
      losses.push_back(loss.item());
    }
    return losses;
  };
  const auto cuda = losses_on(kCuda), cpu = losses_on(kCpu);
  MESSAGE("loss ", cuda.front(), " -> ", cuda.back());
  CHECK(cuda.back() < 0.8 * cuda.front());
  for (std::size_t i = 0; i < 3; ++i) CHECK(std::abs(cuda[i] - cpu[i]) <= 1e-3 * cpu[i]);  // then rounding grows
}

TEST_CASE("graph: a captured step has the bits of the step run one by one, through changes of learning rate") {
  std::vector<std::vector<double>> losses(2);
  std::vector<std::vector<Tensor>> weights(2);
  for (const std::size_t captured : {0u, 1u}) {
    manual_seed(5);
    const auto net = zoo::build("cifar_resnet20", {});
    net->to(kCuda);
    net->train();
    optim::Sgd sgd(optim::one_group(*net), {.lr = 0.1, .momentum = 0.9});
    const auto loss_of = [&](const Tensor& x, const Tensor& t) { return cross_entropy((*net)(x), t); };
    CapturedStep step(loss_of, net->parameters());
    for (std::uint64_t i = 0; i < 4; ++i) {
      const Pictures batch(4, 16, 10, i);
      const Tensor x = to(batch.images, kCuda), t = to(batch.labels, kCuda);
      sgd.set_lr(0.1 / static_cast<double>(i + 1));
      if (captured != 0) {
        losses[captured].push_back(step(x, t).item());
      } else {
        sgd.zero_grad();
        const Tensor loss = loss_of(x, t);
        backward(loss);
        losses[captured].push_back(loss.item());
      }
      sgd.step();
    }
    for (const NamedState& s : net->state()) weights[captured].push_back(to(s.tensor->detach(), kCpu).clone());
  }
  CHECK(losses[1] == losses[0]);
  for (std::size_t i = 0; i < weights[0].size(); ++i)
    CHECK(weights[1][i].to_vector<double>() == weights[0][i].to_vector<double>());
}

TEST_CASE("graph: a step with dropout, and one that waits for the device, are refused") {
  const Tensor w = ones({4}, {.device = kCuda}), x = ones({4}, {.device = kCuda});
  set_requires_grad(w);
  CapturedStep drops([&](const Tensor& a, const Tensor&) { return sum(dropout(a * w, 0.5, true)); }, {w});
  drops(x, x);
  CHECK_THROWS_AS(drops(x, x), GraphError);
  CapturedStep waits([&](const Tensor& a, const Tensor&) { return sum(a * w) * (1 + sum(a).item()); }, {w});
  waits(x, x);
  CHECK_THROWS_AS(waits(x, x), DeviceError);
  CHECK((x + x).to_vector<float>() == std::vector<float>{2, 2, 2, 2});  // the device goes on
}

TEST_CASE("families: a step of a small net of each family has the CPU's loss, gradients and weights") {
  struct Family {
    const char* model;
    std::int64_t size;
    zoo::ModelOptions options;
    Bounds f32 = kF32Deep;
  };
  const Family families[] = {
      {"mlp", 32, {.classes = 10}},
      {"lenet5", 32, {}},
      {"cifar_alexnet", 32, {}},
      {"cifar_vgg16_bn", 32, {}},
      {"squeezenet1_1", 64, {.classes = 10}},
      {"cifar_googlenet", 16, {}},
      {"bninception", 64, {.classes = 10}, kF32Small},
      {"resnet18", 32, {.classes = 10}},
      {"cifar_resnet20", 16, {}},
      {"preresnet18", 32, {.classes = 10}},
      {"cifar_preresnet110", 8, {}},
      {"cifar_se_resnet20", 16, {}},
      {"se_resnet50", 32, {.classes = 10}, kF32Small},
      {"cifar_resnext29_8x64d", 8, {.cardinality = 4, .base_width = 16}},
      {"cifar_densenet40_k12", 16, {.growth_rate = 4}},
      {"dpn68", 32, {.classes = 10}, kF32Small},
  };
  std::set<std::string> all, here;
  for (const zoo::ModelInfo& model : zoo::models()) all.insert(model.family);
  for (const Family& f : families) here.insert(zoo::find_model(f.model).family);
  CHECK(here == all);
  for (const Family& f : families) {
    const Pictures batch(4, f.size, 10, 4);
    check_step(f.model, f.options, batch, DType::f32, f.f32);
    check_step(f.model, f.options, batch, DType::f64, kF64);
  }
}

TEST_CASE("evaluation: networks whose batch norm is the convolution's epilogue give the CPU's logits") {
  for (const std::string model : {"resnet20", "resnet18", "resnet50"}) {
    CAPTURE(model);
    manual_seed(7);
    const auto net = zoo::build(model, {.classes = 10});
    Generator generator{3, 0};
    for (const NamedState& s : net->state())  // statistics that are not 0 and 1
      if (s.name.ends_with("running_mean") || s.name.ends_with("running_var")) uniform_(*s.tensor, 0.5, 1.5, generator);
    net->eval();
    const Pictures pictures(2, 32, 10, 5);
    const NoGrad no_tape;
    const Tensor expected = (*net)(pictures.images);
    net->to(kCuda);
    CHECK(test::difference(to((*net)(to(pictures.images, kCuda)), kCpu), expected) <= 2e-5);
  }
}

}  // namespace gradus
