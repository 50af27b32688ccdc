// The commands of the program `gradus`, run as a user runs them.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "data/image.hpp"
#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "ops/run.hpp"
#include "tests/harness/program.hpp"

using namespace gradus;
using namespace gradus::test;
using files::read_all;
using nlohmann::json;
namespace fs = std::filesystem;

TEST_CASE("program: every command explains itself with an example") {
  const std::vector<std::vector<std::string>> commands{
      {"train"},
      {"find-lr"},
      {"sweep"},
      {"report"},
      {"eval"},
      {"predict"},
      {"summary"},
      {"models"},
      {"data"},
      {"data", "make"},
      {"data", "inspect"},
      {"data", "download"},
      {"bench"},
      {"graph"},
      {"visualize", "gradcam"},
      {"visualize", "deconv"},
      {"import"},
      {"export"},
      {"bench", "step"},
      {"bench", "op"},
      {"bench", "kernel"},
      {"bench", "loader"},
  };
  for (std::vector<std::string> command : commands) {
    command.emplace_back("--help");
    const Result r = gradus_run(command);
    CHECK(r.status == 0);
    CHECK_MESSAGE(contains(r.out, "Example:\n  gradus " + command[0]), r.out);
  }
  CHECK(gradus_run({"--version"}).status == 0);
}

TEST_CASE("eval: prints images, top1 and top5") {
  const Result r = gradus_run({"eval", "--weights", whole_run() + "/best.safetensors", "--data", "cifar10",
                               "--data-dir", small_data(), "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  CHECK(result.at("images") == kTestImages);
  double best = 0;
  for (const json& epoch : read_log(whole_run())) best = std::max(best, epoch.at("val_top1").get<double>());
  CHECK(result.at("top1").get<double>() == doctest::Approx(best));
  CHECK(result.at("top5").get<double>() >= best);
}

TEST_CASE("predict: names what a picture shows, and refuses what is none") {
  const TemporaryFolder folder;
  data::Image image;
  image.resize(40, 50);
  data::write_png(folder / "grey.png", image);
  const Result r = gradus_run(
      {"predict", "--weights", whole_run() + "/best.safetensors", folder / "grey.png", "--top", "3", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  REQUIRE(result.size() == 1);
  CHECK(result[0].at("classes").size() == 3);
  CHECK(result[0].at("classes")[0].at("probability").get<double>() >= 0.1);
  std::ofstream(folder / "text.png") << "no picture";
  CHECK(contains(failure({"predict", "--weights", whole_run() + "/best.safetensors", folder / "text.png"}, 1),
                 "text.png"));
}

TEST_CASE("summary: counts parameters and multiply-adds") {
  const Result r = gradus_run({"summary", "cifar_resnet20", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  CHECK(result.at("parameters") == 269'722);
  CHECK(result.at("multiply_adds").get<std::int64_t>() > 40'000'000);
  CHECK(gradus_run({"models"}).status == 0);
}

TEST_CASE("bench step: prints one object with speed and memory") {
  const TemporaryFolder folder;
  const Result r =
      gradus_run({"bench", "step", "--model", "resnet20", "--batch", "4", "--input", "3x32x32", "--classes", "10",
                  "--threads", "2", "--steps", "2", "--json", "--trace", folder / "trace.json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  for (const char* key : {"images_per_second", "step_ms_median", "peak_mem_mib", "allocator_peak_mib"})
    CHECK(result.at(key).get<double>() > 0);
  CHECK(json::parse(read_all(folder / "trace.json")).at("traceEvents").size() > 100);
}

TEST_CASE("bench step --inference: times the forward pass, which keeps nothing for a backward") {
  const auto peak = [](std::vector<std::string> more) {
    std::vector<std::string> all{"bench",   "step",      "--model", "resnet20", "--batch", "16",    "--input",
                                 "3x32x32", "--classes", "10",      "--steps",  "1",       "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Result r = gradus_run(all);
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return json::parse(r.out).at("allocator_peak_mib").get<double>();
  };
  CHECK(peak({"--inference"}) < 0.5 * peak({}));
}

TEST_CASE("bench kernel: times every candidate that supports the problem, and tells its error") {
  const Result r = gradus_run({"bench", "kernel", "conv2d.forward", "--shape", "1x8x9x9", "--weight", "8x8x3x3",
                               "--seconds", "0.001", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  std::vector<std::string> names;
  const json result = json::parse(r.out);
  for (const json& row : result.at("rows")) {
    names.push_back(row.at("candidate"));
    CHECK(row.at("ms").get<double>() > 0);
    CHECK(row.at("error").get<double>() < 1e-5);
    CHECK((row.at("error") == 0.0) == (names.back() == "reference"));
  }
  CHECK(std::count(names.begin(), names.end(), "direct") == 1);
  CHECK(std::count(names.begin(), names.end(), "reference") == 1);
  const Result layers = gradus_run(
      {"bench", "kernel", "conv2d.forward", "--layers", "lenet5", "--batch", "1", "--seconds", "0.001", "--json"});
  REQUIRE_MESSAGE(layers.status == 0, layers.err);
  CHECK(json::parse(layers.out).at("best_ms").get<double>() > 0);
  CHECK(contains(failure({"bench", "kernel", "relu"}, 2), "conv2d.forward"));
  CHECK(contains(failure({"bench", "kernel", "conv2d", "--shape", "8x8"}, 2), "8x64x56x56"));
  CHECK(contains(failure({"bench", "kernel", "conv2d", "--layers", "mlp"}, 2), "no convolutions"));
  CHECK(contains(failure({"bench", "kernel", "relu", "--check"}, 2), "conv2d.backward_weight or matmul, got \"relu\""));
  CHECK(contains(failure({"bench", "kernel", "conv2d", "--check", "--layers", "lenet5"}, 2), "not --layers"));
  CHECK(contains(failure({"bench", "kernel", "matmul", "--check", "--shape", "8x8x8"}, 2), "such as 96x64"));
  if (!kHasCuda) CHECK(contains(failure({"bench", "kernel", "conv2d", "--check"}, 2), "cmake --preset emulate"));
}

TEST_CASE("bench loader: a speed for every number of workers") {
  const Result r = gradus_run({"bench", "loader", "--data", "cifar10", "--data-dir", small_data(), "--workers", "1,3",
                               "--seconds", "0.02", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json rows = json::parse(r.out).at("rows");
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].at("workers") == 3);
  CHECK(rows[1].at("images_per_second").get<double>() > 0);
  CHECK(contains(failure({"bench", "loader", "--workers", "0"}, 2), "--workers: takes numbers of threads"));
}

TEST_CASE("graph: writes the tape as page, Graphviz and text") {
  const TemporaryFolder folder;
  for (const char* name : {"g.html", "g.dot", "g.txt"}) {
    const Result r = gradus_run({"graph", "resnet20", "-o", folder / name});
    REQUIRE_MESSAGE(r.status == 0, r.err);
    CHECK(contains(read_all(folder / name), "layer1.0.conv1"));
  }
  failure({"graph", "resnet20", "-o", folder / "g.png"}, 2);
}

TEST_CASE("import, export: weights go to PyTorch's form and back unchanged") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors";
  CHECK(gradus_run({"export", best, "--model", "cifar_resnet20", "-o", folder / "w.pth"}).status == 0);
  CHECK(gradus_run({"import", folder / "w.pth", "--model", "cifar_resnet20", "-o", folder / "w.safetensors"}).status ==
        0);
  check_same_state(best, folder / "w.safetensors");
  CHECK(
      contains(failure({"import", best, "--model", "cifar_resnet32", "-o", folder / "x.safetensors"}, 1), "missing ("));
  CHECK_FALSE(fs::exists(folder / "x.safetensors"));
}

TEST_CASE("visualize: every method draws, and says what it cannot draw") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors";
  data::Image image;
  image.resize(32, 32);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 7);
  data::write_png(folder / "in.png", image);
  const auto draw = [&](std::vector<std::string> arguments, const std::string& out) {
    arguments.insert(arguments.begin(), "visualize");
    for (const std::string& a : {std::string("--weights"), best, std::string("-o"), (folder / out).string()})
      arguments.push_back(a);
    return gradus_run(arguments);
  };
  for (const char* method : {"saliency", "guided", "gradcam", "occlusion", "features"}) {
    CAPTURE(method);
    const Result r = draw({method, folder / "in.png"}, "out.png");
    REQUIRE_MESSAGE(r.status == 0, r.err);
    data::Image drawn;
    data::read_image(folder / "out.png", drawn);
    CHECK(drawn.width > 200);
  }
  CHECK(draw({"filters"}, "filters.png").status == 0);
  CHECK(draw({"maximise", "--class", "3", "--steps", "4"}, "best.png").status == 0);
  for (const char* method : {"pca", "tsne"})
    CHECK(draw({method, "--data", "cifar10", "--data-dir", small_data(), "--limit", "40"}, "map.html").status == 0);
  CHECK(contains(read_all(folder / "map.html"), "<circle"));
  CHECK_FALSE(contains(read_all(folder / "map.html"), "://"));
  const Result r = draw({"deconv", "--layer", "layer2", folder / "in.png"}, "deconv.png");
  CHECK(r.status == 2);
  CHECK_MESSAGE(contains(r.err, "has no inverse in a deconvolutional network"), r.err);
  CHECK(draw({"saliency", folder / "in.png"}, "out.gif").status == 2);
}
