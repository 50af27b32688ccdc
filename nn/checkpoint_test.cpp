#include "nn/checkpoint.hpp"

#include <doctest/doctest.h>

#include "core/random.hpp"
#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "nn/optim/adam.hpp"
#include "nn/optim/sgd.hpp"

using namespace gradus;
using files::file_error;

namespace {

struct Net : Module {
  explicit Net(std::int64_t classes = 3) : fc(randn({classes, 4})) {}
  Tensor forward(const Tensor& x) override { return x; }
  Parameter conv{randn({4, 3, 3, 3}, {.format = Format::channels_last})};
  Parameter fc;
  Buffer mean{randn({4})};
  GRADUS_MEMBERS(conv, fc, mean)
};

/// A run of which everything is saved: steps draw their gradients from the run's own generator.
struct Run {
  explicit Run(std::uint64_t seed) { manual_seed(seed); }
  Net net;
  optim::Sgd sgd{net, {.lr = 0.1, .momentum = 0.9}};
  Ema ema{net, 0.9};
  Plateau plateau{0.1, {.patience = 1}};
  Generator generator{5, 0};
  TrainingState state() { return {&net, &sgd, &ema, &plateau, &generator}; }
  void step() {
    for (const Tensor& p : net.parameters()) set_grad(p, randn(p.shape(), {}, generator));
    sgd.set_lr(plateau.observe(1));
    sgd.step();
    ema.update();
  }
  std::vector<double> bits() {
    std::vector<double> all{plateau.lr(), static_cast<double>(generator.next_stream)};
    for (const auto& part : {net.state(), sgd.state(), ema.state()})
      for (const NamedState& s : part)
        for (const double v : s.tensor->to_vector<double>()) all.push_back(v);
    return all;
  }
};

}  // namespace

TEST_CASE("checkpoint: a restored run goes on to the same bits") {
  const files::TemporaryFolder folder;
  Run first(1);
  for (int i = 0; i < 3; ++i) first.step();
  TrainingState saved = first.state();
  saved.epoch = 2;
  saved.batch = 17;
  saved.step = 3;
  saved.notes["best"] = "92.5";
  save_checkpoint(folder / "c.safetensors", saved);

  Run second(99);  // other weights: all must come from the file
  second.generator = {};
  TrainingState restored = second.state();
  load_checkpoint(folder / "c.safetensors", restored);
  CHECK(restored.epoch == 2);
  CHECK(restored.batch == 17);
  CHECK(restored.step == 3);
  CHECK(restored.notes.at("best") == "92.5");
  CHECK(first.bits() == second.bits());
  for (int i = 0; i < 5; ++i) {
    first.step();
    second.step();
  }
  CHECK(first.bits() == second.bits());
}

TEST_CASE("checkpoint: is a weight file too, whose weights are the average where there is one") {
  const files::TemporaryFolder folder;
  Run run(1);
  run.step();
  save_checkpoint(folder / "c", run.state());
  const NamedTensors weights = weights_of(files::read_safetensors(folder / "c"));
  CHECK(weights.tensors.size() == 3);
  CHECK(weights.find("conv")->to_vector<float>() == run.ema.state()[0].tensor->to_vector<float>());

  TrainingState plain = run.state();
  plain.ema = nullptr;
  save_checkpoint(folder / "c", plain);
  CHECK(weights_of(files::read_safetensors(folder / "c")).find("conv")->to_vector<float>() ==
        run.net.conv.to_vector<float>());
}

TEST_CASE("checkpoint: what does not fit is named, and nothing is written") {
  const files::TemporaryFolder folder;
  const std::string path = folder / "c";
  Run run(1);
  run.step();
  save_checkpoint(path, run.state());
  const std::vector<double> before = run.bits();

  TrainingState state = run.state();
  state.ema = nullptr;
  CHECK(file_error([&] { load_checkpoint(path, state); }) == path + ": the saved run had ema, this one has not");

  optim::Adam adam(run.net, {});
  state = run.state();
  state.optimizer = &adam;
  CHECK(file_error([&] { load_checkpoint(path, state); }) == path + ": the saved run used \"sgd\", this one adam");

  Net wide(10);
  state = run.state();
  state.model = &wide;
  CHECK(file_error([&] { load_checkpoint(path, state); }) ==
        path + ": does not fit this network: 1 of another shape (fc [3, 4] in the file, [10, 4] here)");

  files::write_safetensors(path, state_dict(run.net));
  state = run.state();
  CHECK(file_error([&] { load_checkpoint(path, state); }) == path + ": holds weights, not the state of a training run");
  NamedTensors broken = state_dict(run.net);
  broken.metadata["gradus"] = "{\"format\": 7";
  files::write_safetensors(path, broken);
  CHECK(file_error([&] { load_checkpoint(path, state); }) == path + ": its description of the training run is damaged");
  CHECK(run.bits() == before);
}

TEST_CASE("load_state: strict loading lists what is missing, unexpected, of another shape") {
  Net net;
  NamedTensors weights;
  weights.tensors = {{"fc", ones({7, 4})}, {"mean", ones({4}, {.dtype = DType::f64})}, {"head", ones({1})}};
  CHECK(file_error([&] { load_state(net, weights, true, "w.pth"); }) ==
        "w.pth: does not fit this network: 1 missing (conv); 1 unexpected (head); 1 of another shape (fc [7, 4] in the "
        "file, [3, 4] here)");
  CHECK(net.mean.to_vector<float>()[0] != 1);
  const StateMismatch rest = load_state(net, weights, false);
  CHECK(rest.missing == std::vector<std::string>{"conv"});
  CHECK(net.mean.to_vector<float>()[0] == 1);
}

TEST_CASE("load_state: long lists are abbreviated") {
  StateMismatch mismatch;
  for (int i = 0; i < 9; ++i) mismatch.missing.push_back("p" + std::to_string(i));
  CHECK(mismatch.text() == "9 missing (p0, p1, p2, p3, and 5 more)");
}
