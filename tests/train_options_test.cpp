// What `gradus train` can be asked for, as a user asks.

#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "tests/harness/program.hpp"

using namespace gradus;
using namespace gradus::test;
using files::read_all;
using nlohmann::json;

TEST_CASE("train: a config file says what the options say, one to one") {
  // Every setting has an option of its name, and every option of these two groups is a setting.
  const json settings = json::parse(read_all(whole_run() + "/config.json"));
  const Result help = gradus_run({"train", "--help"});
  std::set<std::string> options, keys{"recipe", "config"};
  std::istringstream lines(help.out);
  bool settles = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line[0] != ' ') settles = line == "What:" || line == "How:";
    const std::size_t at = line.find("--");
    if (!settles || at == std::string::npos || at > 8) continue;
    std::string name = line.substr(at + 2, line.find_first_of(" ,", at) - at - 2);
    std::replace(name.begin(), name.end(), '-', '_');
    options.insert(name);
  }
  for (const auto& [key, value] : settings.items())
    if (key != "workers" && key != "threads" && key != "histograms") keys.insert(key);
  CHECK(options == keys);

  const TemporaryFolder folder;
  const auto with_file = [&](const std::string& text) {
    std::ofstream(folder / "file.json") << text;
    return failure({"train", "--config", folder / "file.json", "--out", folder / "run"}, 2);
  };
  CHECK(contains(with_file(R"({"label_smooth": 0.1})"), "no setting \"label_smooth\"; the nearest is label_smoothing"));
  CHECK(contains(with_file(R"({"epochs": 1.5})"), "epochs takes a whole number, got 1.5"));
  CHECK(contains(with_file(R"({"nesterov": 1})"), "nesterov takes true or false, got 1"));
  CHECK(contains(with_file(R"({"lr": "0.1"})"), "lr takes a number"));
  CHECK(contains(with_file("[]"), "no JSON object of settings"));
  std::ofstream(folder / "file.json") << "{";
  CHECK(contains(failure({"train", "--config", folder / "file.json"}, 1), "is no JSON"));
  CHECK(contains(failure({"train", "--config", folder / "none.json"}, 1), "No such file"));
}

TEST_CASE("train: a run's config.json gives the same run again, to the bit") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Result r = gradus_run({"train", "--config", whole_run() + "/config.json", "--quiet", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
  CHECK(read_all(run + "/config.json") == read_all(whole_run() + "/config.json"));
}

TEST_CASE(
    "train --accumulate: two batches of 16 make the step of one of 32, and a stopped run goes on to the same bits") {
  const TemporaryFolder folder;
  // Without batch norm, which sees every batch alone, the gradients are the same but for rounding, which steps this
  // short do not amplify.
  const auto train = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> all{"train",   "--model",    "cifar_alexnet", "--dropout", "0", "--data",
                                 "cifar10", "--data-dir", small_data(),    "--epochs",  "2", "--lr",
                                 "0.001",   "--quiet",    "--out",         folder / out};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  for (const auto& command :
       {train("whole", {"--batch", "32"}), train("halves", {"--batch", "16", "--accumulate", "2"})})
    REQUIRE(gradus_run(command).status == 0);
  const std::vector<json> whole = read_log(folder / "whole"), halves = read_log(folder / "halves");
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(halves[i].at("train_loss").get<double>() ==
          doctest::Approx(whole[i].at("train_loss").get<double>()).epsilon(1e-4));

  // 20 batches of 16 in groups of 8, 8 and 4 (under a sanitizer 8 and 2), with batch norm and augmentation.
  const std::vector<std::string> groups{"--batch", "16", "--accumulate", "8", "--clip-norm", "1", "--ema", "0.9"};
  REQUIRE(gradus_run(training(folder / "left", groups)).status == 0);
  Process process(training(folder / "stopped", groups));
  REQUIRE(wait_for(process, [&] { return !read_log(folder / "stopped").empty(); }));
  CHECK(process.wait(SIGINT).status == 130);
  REQUIRE(gradus_run({"train", "--resume", "--out", folder / "stopped"}).status == 0);
  check_same_state(folder / "stopped/checkpoint.safetensors", folder / "left/checkpoint.safetensors");
}

TEST_CASE("train --early-stop: ends after so many epochs without a better top-1") {
  const TemporaryFolder folder;
  // A learning rate of nearly nothing: the first epoch stays the best.
  const Result r = gradus_run(training(folder / "run", {"--lr", "1e-12", "--schedule", "constant", "--epochs", "9",
                                                        "--freeze", "backbone", "--early-stop", "2"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(read_log(folder / "run").size() == 3);
  CHECK_MESSAGE(contains(r.err, "stopped early: no better top-1 for 2 epochs"), r.err);
  CHECK(gradus_run({"train", "--resume", "--out", folder / "run"}).status == 0);
  CHECK(read_log(folder / "run").size() == 3);
}

TEST_CASE("train: the regularisers of the papers are options, and wrong ones are refused") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Result r = gradus_run(training(run, {"--epochs",
                                             "1",
                                             "--model",
                                             "cifar_googlenet",
                                             "--limit",
                                             "64",
                                             "--limit-val",
                                             "20",
                                             "--mixup",
                                             "0.2",
                                             "--cutmix",
                                             "1",
                                             "--label-smoothing",
                                             "0.1",
                                             "--aux-weight",
                                             "0.5",
                                             "--filter-rms",
                                             "0.02",
                                             "--init",
                                             "framework",
                                             "--warmup",
                                             "1",
                                             "--warmup-lr",
                                             "0.01",
                                             "--quiet"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(read_log(run)[0].at("lr") == 0.01);
  for (const NamedTensor& t : files::read_safetensors(run + "/best.safetensors").tensors) {
    if (t.tensor.rank() != 4) continue;
    double most = 0;
    const std::vector<float> w = t.tensor.to_vector<float>();
    const auto filters = static_cast<std::size_t>(t.tensor.size(0)), each = w.size() / filters;
    for (std::size_t k = 0; k < filters; ++k) {
      double squares = 0;
      for (std::size_t i = k * each; i < (k + 1) * each; ++i) squares += double{w[i]} * w[i];
      most = std::max(most, std::sqrt(squares / static_cast<double>(each)));
    }
    CHECK_MESSAGE(most < 0.02 * 1.0001, t.name);
  }
  CHECK(gradus_run(training(folder / "depth", {"--epochs", "1", "--model", "resnet20", "--survival", "0.5", "--quiet"}))
            .status == 0);
  CHECK(contains(failure(training(run, {"--overwrite", "--init", "xavier"}), 2), "--init: takes published"));
  CHECK(contains(failure(training(run, {"--overwrite", "--accumulate", "0"}), 2), "--accumulate: must be positive"));
  CHECK(contains(failure(training(run, {"--overwrite", "--mixup", "-1"}), 2), "--mixup: must not be negative"));
}
