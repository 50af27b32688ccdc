// What training leaves behind, and the commands that train many times, as a user runs them.

#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/image.hpp"
#include "nn/files/files_test_support.hpp"
#include "tests/harness/program.hpp"

using namespace gradus;
using namespace gradus::test;
using files::read_all;
using nlohmann::json;

namespace fs = std::filesystem;

TEST_CASE("train --histograms: layers' activations and gradients come into the report, and change no bit") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  REQUIRE(gradus_run(training(run, {"--histograms", "--quiet"})).status == 0);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
  std::istringstream lines(read_all(run + "/histograms.jsonl"));
  std::vector<json> epochs;
  for (std::string line; std::getline(lines, line);) epochs.push_back(json::parse(line));
  REQUIRE(epochs.size() == 3);
  const json &activations = epochs[2].at("activations"), &gradients = epochs[2].at("gradients");
  CHECK(activations[0].at("name") == "conv1");
  CHECK(activations[0].at("count") == 32 * 16 * 32 * 32);  // batch 32
  CHECK(activations[1].at("name") == "bn1");
  CHECK(activations[1].at("zeros").get<double>() > 0);  // with its rectifier
  CHECK(gradients[0].at("name") == "conv1.weight");
  CHECK(gradients[0].at("deviation").get<double>() > 0);
  const std::string report = read_all(run + "/report.html");
  CHECK(contains(report, "Activations"));
  CHECK(contains(report, "layer3.2.conv2.weight"));
  CHECK_FALSE(contains(report, "://"));
}

TEST_CASE("train: the events of a run that was killed and resumed are those of one left alone") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  {
    Process process(training(run));
    REQUIRE(wait_for(process, [&] { return !read_log(run).empty(); }));
    process.wait(SIGKILL);
  }
  REQUIRE(gradus_run({"train", "--resume", "--out", run}).status == 0);
  // But for the times, which are of a fixed length.
  CHECK(fs::file_size(run + "/events.out.tfevents.gradus") ==
        fs::file_size(whole_run() + "/events.out.tfevents.gradus"));
}

TEST_CASE("find-lr: suggests a rate, and draws") {
  const TemporaryFolder folder;
  const Result r = gradus_run(
      {"find-lr", "--model", "resnet20", "--data", "cifar10", "--data-dir", small_data(), "--batch", "16", "--steps",
       "24", "--from", "1e-4", "--to", "100", "--json", "-o",
       (folder / "lr.html").string() + "," + (folder / "lr.png").string() + "," + (folder / "lr.json").string()});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json figures = json::parse(read_all(folder / "lr.json"));
  const double suggested = json::parse(r.out).at("suggested").get<double>();
  CHECK(suggested >= 1e-5);
  CHECK(suggested < 10);
  CHECK(suggested == figures.at("suggested").get<double>());
  CHECK(figures.at("losses").size() == figures.at("rates").size());
  CHECK(contains(read_all(folder / "lr.html"), "<polyline"));
  data::Image picture;
  data::read_image(folder / "lr.png", picture);
  CHECK(picture.width == 1040);
  CHECK(contains(failure({"find-lr", "-o", "lr.gif"}, 2), "none of .png, .html and .json"));
  CHECK(contains(failure({"find-lr", "--from", "1", "--to", "0.1", "--limit", "32"}, 2), "a range climbs"));
}

TEST_CASE("sweep: trains every combination, goes on where it was stopped, and gives the runs that train gives") {
  const TemporaryFolder folder;
  const std::string out = folder / "sweep";
  const std::vector<std::string> command{"sweep",        "--model", "resnet20", "--data",   "cifar10", "--data-dir",
                                         small_data(),   "--batch", "32",       "--epochs", "1",       "--set",
                                         "lr=0.01,0.05", "--seeds", "7,8",      "--out",    out,       "--json"};
  Process process(command);
  REQUIRE(wait_for(process, [&] { return fs::exists(out + "/lr=0.01,seed=7/report.html"); }));
  process.wait(SIGKILL);
  const auto first = fs::last_write_time(out + "/lr=0.01,seed=7/report.html");
  const Result r = gradus_run(command);
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(fs::last_write_time(out + "/lr=0.01,seed=7/report.html") == first);  // not trained again
  const json figures = json::parse(r.out);
  REQUIRE(figures.size() == 2);
  CHECK(figures[1].at("name") == "lr=0.05");
  REQUIRE(figures[1].at("runs").size() == 2);
  const double a = figures[1].at("runs")[0].at("best_top1"), b = figures[1].at("runs")[1].at("best_top1");
  CHECK(figures[1].at("best_top1").at("mean").get<double>() == doctest::Approx((a + b) / 2));
  CHECK(figures[1].at("best_top1").at("deviation").get<double>() == doctest::Approx(std::abs(a - b) / std::sqrt(2.0)));
  CHECK(contains(read_all(out + "/sweep.html"), "lr=0.05,seed=8"));

  REQUIRE(gradus_run(training(folder / "alone", {"--epochs", "1", "--quiet"})).status == 0);
  check_same_state(folder / "alone/checkpoint.safetensors", out + "/lr=0.05,seed=7/checkpoint.safetensors");

  CHECK(contains(failure({"sweep", "--set", "learning=0.1"}, 2), "no setting \"learning\""));
  CHECK(contains(failure({"sweep", "--set", "lr=fast"}, 2), "lr takes a number"));
  CHECK(contains(failure({"sweep", "--set", "lr"}, 2), "KEY=VALUE"));
  CHECK(contains(failure({"sweep", "--seeds", "x"}, 2), "--seeds: takes whole numbers"));
  std::vector<std::string> other = command;
  other[10] = "2";  // epochs
  CHECK(contains(failure(other, 2), "holds a run with other settings"));
}

TEST_CASE("sweep: a run that diverges is noted, and the others are trained") {
  const TemporaryFolder folder;
  const std::vector<std::string> command{
      "sweep",    "--model", "resnet20",   "--data",   "cifar10", "--data-dir",   small_data(), "--batch",    "32",
      "--epochs", "1",       "--schedule", "constant", "--set",   "lr=1e30,0.05", "--out",      folder / "s", "--json"};
  for (int i = 0; i < 2; ++i) {  // the second time nothing is trained
    const Result r = gradus_run(command);
    REQUIRE_MESSAGE(r.status == 0, r.err);
    const json figures = json::parse(r.out);
    CHECK(figures[0].at("diverged").size() == 1);
    CHECK(figures[0].at("runs").empty());
    CHECK(figures[1].at("runs").size() == 1);
  }
}

TEST_CASE("report: lays runs over each other, and says where their settings differ") {
  const TemporaryFolder folder;
  const std::string other = folder / "other";
  REQUIRE(gradus_run(training(other, {"--lr", "0.02", "--epochs", "1", "--quiet"})).status == 0);
  const Result r = gradus_run({"report", whole_run(), other, "-o", folder / "compare.html"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const std::string page = read_all(folder / "compare.html");
  for (const char* part : {"<th>lr</th>", "<th>epochs</th>", "<td>0.02</td>", "Validation top-1", "whole", "other"})
    CHECK_MESSAGE(contains(page, part), part);
  CHECK_FALSE(contains(page, "<th>momentum</th>"));
  CHECK_FALSE(contains(page, "://"));
  CHECK(contains(failure({"report", folder / "none"}, 1), "there is no run here"));
}
