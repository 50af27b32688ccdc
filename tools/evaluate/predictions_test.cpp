// The test protocols against a plain PyTorch computation: tests/files/protocols/make_figures.py says how.

#include "tools/evaluate/predictions.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "nn/files/files_test_support.hpp"
#include "tests/harness/fill.hpp"
#include "tests/harness/paths.hpp"
#include "tools/evaluate/dense.hpp"
#include "zoo/registry.hpp"

using namespace gradus;
using namespace gradus::program;
using files::read_all;
using files::TemporaryFolder;
using nlohmann::json;

namespace {

/// One picture of squares of 16 x 16 pixels of one random colour each, of class 3.
class Squares final : public data::Dataset {
 public:
  Squares(int height, int width, std::uint32_t seed) {
    const int rows = (height + 15) / 16, columns = (width + 15) / 16;
    std::vector<std::uint8_t> cells(static_cast<std::size_t>(rows * columns * 3));
    for (std::uint8_t& cell : cells) {
      seed = seed * 1664525u + 1013904223u;
      cell = static_cast<std::uint8_t>(seed >> 24);
    }
    image_.resize(height, width);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c) image_.row(y)[x * 3 + c] = cells[((y / 16) * columns + x / 16) * 3 + c];
    for (int c = 0; c < 20; ++c) classes_.push_back("class, " + std::to_string(c));
  }
  std::int64_t size() const override { return 1; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int64_t label(std::int64_t) const override { return 3; }
  bool get(std::int64_t, data::Image& image) const override {
    image = image_;
    return true;
  }
  std::string origin(std::int64_t) const override { return "squares"; }

 private:
  data::Image image_;
  std::vector<std::string> classes_;
};

std::unique_ptr<Classifier> filled_net(const char* name) {
  auto net = zoo::build(name, {.classes = 20});
  for (const NamedState& s : net->state())
    s.tensor->detach().copy_(test::filled(s.name, s.tensor->shape(), 1.9, DType::f32));
  net->eval();
  return net;
}

Predictions run(Module& net, const std::shared_ptr<const data::Dataset>& data, data::Protocol p, const char* normalize,
                bool dense = false) {
  p.normalization = data::normalization(normalize);
  data::ViewLoader loader(data, p);
  return predict(net, loader, dense, 32);
}

/// Largest difference of probabilities.
double difference(const Predictions& p, const json& expected) {
  double worst = 0;
  for (std::size_t c = 0; c < expected.size(); ++c)
    worst = std::max(worst, std::abs(std::exp(p.row(0)[c]) - expected[c].get<double>()));
  return worst;
}

Predictions certain(std::vector<std::int64_t> labels, std::vector<float> log_probabilities) {
  Predictions p;
  p.classes = static_cast<std::int64_t>(log_probabilities.size() / labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) p.indices.push_back(static_cast<std::int64_t>(i));
  p.labels = std::move(labels);
  p.log_probabilities = std::move(log_probabilities);
  return p;
}

}  // namespace

TEST_CASE("protocols: one crop, ten, 144, dense, several scales and ensembles are what PyTorch computes") {
  using data::Crops;
  const json figures = json::parse(read_all(test::source_dir() + "/tests/files/protocols/figures.json"));
  REQUIRE(figures.size() == 2);
  const auto squeeze = filled_net("squeezenet1_1"), alex = filled_net("alexnet");
  constexpr double kRounding = 2e-5;  // f32 against PyTorch's f64
  for (const json& figure : figures) {
    CAPTURE(figure["seed"].get<int>());
    const auto data = std::make_shared<Squares>(figure["height"], figure["width"], figure["seed"]);
    const json& p = figure["probabilities"];
    CHECK(difference(run(*squeeze, data, {}, "imagenet"), p["one"]) < kRounding);
    CHECK(difference(run(*squeeze, data, {.scales = {224, 256, 320}, .mirror = true}, "imagenet"),
                     p["one, mirrored, three scales"]) < kRounding);
    const Predictions ten = run(*squeeze, data, {.crops = Crops::ten}, "imagenet");
    CHECK(difference(ten, p["ten"]) < kRounding);
    CHECK(difference(run(*squeeze, data, {.crops = Crops::many, .scales = {256, 288, 320, 352}}, "imagenet"),
                     p["many"]) < kRounding);
    CHECK(difference(
              run(*squeeze, data, {.crops = Crops::whole, .scales = {224, 256, 320}, .mirror = true}, "imagenet", true),
              p["dense, three scales"]) < kRounding);
    CHECK(difference(run(*alex, data, {.crops = Crops::whole, .scales = {256, 300}, .mirror = true}, "half", true),
                     p["dense linear layers"]) < kRounding);
    const Predictions other = run(*alex, data, {.crops = Crops::ten, .scales = {240}}, "half");
    CHECK(difference(average({ten, other}), p["ensemble"]) < kRounding);
  }
}

TEST_CASE("dense: at the size of training it is the network itself; a picture too small is an error") {
  const auto alex = filled_net("alexnet");
  const Tensor x = test::filled_input({1, 3, 224, 224}, DType::f32);
  const NoGrad no_grad;
  const std::vector<float> whole = (*alex)(x).to_vector<float>(), dense = dense_logits(*alex, x).to_vector<float>();
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(dense[i] == doctest::Approx(whole[i]).epsilon(1e-4));
  CHECK_THROWS_WITH_AS(dense_logits(*alex, test::filled_input({1, 3, 96, 96}, DType::f32)),
                       doctest::Contains("dense: the picture is too small: the linear layers see 6 x 6 places"),
                       ShapeError);
}

TEST_CASE("predictions: an ensemble averages probabilities, not logits") {
  const float low = std::log(0.1f), high = std::log(0.9f), half = std::log(0.5f);
  const Predictions mean = average({certain({0}, {low, high}), certain({0}, {half, half})});
  CHECK(std::exp(mean.log_probabilities[0]) == doctest::Approx(0.3));
  CHECK(std::exp(mean.log_probabilities[1]) == doctest::Approx(0.7));
  CHECK_THROWS_WITH_AS(average({certain({0}, {low, high}), certain({0, 1}, {low, high, low, high})}),
                       doctest::Contains("ensemble: the members are about different samples"), ValueError);
}

TEST_CASE("predictions: calibration compares confidence with accuracy, bin by bin") {
  // Two samples named with 90 % confidence, one of them right; one with 60 %, right.
  const float a = std::log(0.9f), b = std::log(0.1f), c = std::log(0.6f), d = std::log(0.4f);
  const Evaluation e = score(certain({0, 1, 1}, {a, b, a, b, d, c}));
  CHECK(e.top1 == doctest::Approx(100.0 * 2 / 3));
  CHECK(e.calibration_error == doctest::Approx(100 * (2.0 / 3 * 0.4 + 1.0 / 3 * 0.4)));
  CHECK(class_accuracy(e, 0) == 100);
  CHECK(class_accuracy(e, 1) == 50);
}

TEST_CASE("predictions: files hold a row per sample, names with commas in quotes") {
  const TemporaryFolder folder;
  const Squares data(16, 16, 1);
  std::vector<float> row(20, std::log(0.01f));
  row[7] = std::log(0.81f);
  const Predictions p = certain({3}, row);
  write_predictions(folder / "p.csv", p, data);
  const std::string csv = read_all(folder / "p.csv");
  CHECK(csv.starts_with("index,origin,label,label_name,class1,name1,probability1,class2,"));
  CHECK(csv.find("\n0,squares,3,\"class, 3\",7,\"class, 7\",0.81,0,\"class, 0\",0.01,") != std::string::npos);
  write_predictions(folder / "p.jsonl", p, data);
  const json line = json::parse(read_all(folder / "p.jsonl"));
  CHECK(line["label"] == 3);
  CHECK(line["top"].size() == 5);
  CHECK(line["top"][0]["name"] == "class, 7");
  write_confusion(folder / "c.csv", score(p), data.classes());
  CHECK(read_all(folder / "c.csv").find("\n\"class, 3\",0,0,0,0,0,0,0,1,0") != std::string::npos);
}
