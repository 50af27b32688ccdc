// gradus train, run as a user runs it.

#include <doctest/doctest.h>

#include <filesystem>

#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "tests/harness/program.hpp"

using namespace gradus;
using namespace gradus::test;
using files::read_all;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("train: leaves a folder with configuration, log, checkpoints and report") {
  const std::string& run = whole_run();
  const std::vector<json> log = read_log(run);
  REQUIRE(log.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(log[i].at("epoch") == i + 1);
    for (const char* key : {"lr", "train_loss", "val_loss", "val_top1", "val_top5", "images_per_second"})
      CHECK(log[i].at(key).is_number());
  }
  CHECK(json::parse(read_all(run + "/config.json")).at("model") == "resnet20");
  CHECK(fs::exists(run + "/checkpoint.safetensors"));
  CHECK(fs::exists(run + "/best.safetensors"));
  const std::string report = read_all(run + "/report.html");
  for (const char* part :
       {"<svg", "Confusion matrix", "First-layer filters", "Worst samples", "data:image/png;base64,"})
    CHECK_MESSAGE(contains(report, part), part);
  CHECK_FALSE(contains(report, "://"));  // self-contained
}

TEST_CASE("train: the same seed gives the same bits with other numbers of threads and workers") {
  const TemporaryFolder folder;
  const Result r = gradus_run(training(folder / "run", {"--threads", "3", "--workers", "2", "--json"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(json::parse(r.out).at("epoch") == 3);
  check_same_state(folder / "run/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

TEST_CASE("train: killed and resumed it ends in the same bits as left alone") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  {
    Process process(training(run));
    REQUIRE(wait_for(process, [&] { return !read_log(run).empty(); }));
    CHECK(process.wait(SIGKILL).status == -SIGKILL);
  }
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(read_log(run).size() == 3);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
  check_same_state(run + "/best.safetensors", whole_run() + "/best.safetensors");
}

TEST_CASE("train: Ctrl-C saves in the middle of an epoch and says how to go on") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  Process process(training(run));
  REQUIRE(wait_for(process, [&] { return fs::exists(run + "/config.json"); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const Result stopped = process.wait(SIGINT);
  CHECK(stopped.status == 130);
  CHECK_MESSAGE(contains(stopped.err, "gradus train --resume --out " + run), stopped.err);
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

TEST_CASE("train: a run that is there is neither overwritten nor changed by accident") {
  const std::string& run = whole_run();
  CHECK(contains(failure(training(run), 2), "--resume continues it"));
  CHECK(contains(failure({"train", "--resume", "--lr", "0.3", "--out", run}, 2), "--lr 0.05, not 0.3"));
  CHECK(contains(failure({"train", "--resume", "--out", run + "/nothing"}, 1), "no run here to resume"));
}

TEST_CASE("train: a recipe sets what the command line does not") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Result r =
      gradus_run({"train", "--recipe", "densenet-cifar", "--epochs", "1", "--model", "resnet20", "--data", "cifar10",
                  "--data-dir", small_data(), "--limit", "64", "--limit-val", "20", "--quiet", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json config = json::parse(read_all(run + "/config.json"));
  CHECK(config.at("epochs") == 1);
  CHECK(config.at("batch") == 64);
  CHECK(config.at("weight_decay") == 1e-4);
  CHECK(contains(failure({"train", "--recipe", "densenet-cifer"}, 2), "densenet-cifar"));
}

TEST_CASE("train: starts from weights with a new head, and leaves a frozen backbone as it is") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors", run = folder / "run";
  const Result r = gradus_run(training(run, {"--weights", best, "--replace-head", "--freeze", "backbone", "--quiet"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const NamedTensors before = files::read_safetensors(best), after = files::read_safetensors(run + "/best.safetensors");
  for (const NamedTensor& t : before.tensors) {
    const bool same = t.tensor.to_vector<float>() == after.find(t.name)->to_vector<float>();
    CHECK_MESSAGE(same != t.name.starts_with("linear."), t.name);
  }
  CHECK(contains(failure({"train", "--model", "resnet32", "--data", "cifar10", "--data-dir", small_data(), "--weights",
                          best, "--out", folder / "other"},
                         1),
                 "missing ("));
  failure({"train", "--freeze", "half", "--data", "cifar10", "--data-dir", small_data(), "--out", folder / "other"}, 2);
}
