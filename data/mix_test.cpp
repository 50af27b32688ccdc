#include "data/mix.hpp"

#include <cmath>
#include <vector>

#include "data/data_test_support.hpp"

namespace gradus::data {
namespace {

/// Images whose every value is the number of the sample.
Tensor numbered(std::int64_t n) {
  Tensor x = empty({n, 3, 8, 8}, {.format = Format::channels_last});
  for (std::int64_t i = 0; i < n * 192; ++i) x.data<float>()[i] = static_cast<float>(i / 192);
  return x;
}
const std::vector<std::int64_t> kLabels{0, 1, 2, 3, 4};
Random stream(std::uint64_t index) { return {1, Purpose::kMix, 0, index}; }

}  // namespace

TEST_CASE("mixup: images and targets are blended with the same lambda") {
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    Random random = stream(trial);
    const Tensor x = numbered(5);
    const Tensor t = mix_batch({.mixup = 1}, random, x, kLabels, 5);
    REQUIRE(t.shape() == Shape{5, 5});
    const std::vector<float> target = t.to_vector<float>();
    const float lambda = target[0];
    for (int i = 0; i < 5; ++i) {
      float sum = 0, mean = 0;
      for (int c = 0; c < 5; ++c) sum += target[i * 5 + c], mean += target[i * 5 + c] * static_cast<float>(c);
      REQUIRE(sum == doctest::Approx(1));
      REQUIRE(x.data<float>()[i * 192 + 77] == doctest::Approx(mean).epsilon(1e-5));
    }
    REQUIRE(target[4] == doctest::Approx(1 - lambda));
    REQUIRE(target[2 * 5 + 2] == doctest::Approx(1));  // the middle of five is its own partner
  }
}

TEST_CASE("cutmix: the share of foreign pixels is the weight of the foreign label") {
  bool some_cut = false;
  for (std::uint64_t trial = 0; trial < 50; ++trial) {
    Random random = stream(trial);
    const Tensor x = numbered(4);
    const Tensor t = mix_batch({.cutmix = 1}, random, x, std::span(kLabels).first(4), 5);
    const std::vector<float> target = t.to_vector<float>();
    for (int i = 0; i < 4; ++i) {
      int foreign = 0;
      for (int p = 0; p < 192; ++p) {
        const float value = x.data<float>()[i * 192 + p];
        REQUIRE((value == static_cast<float>(i) || value == static_cast<float>(3 - i)));
        foreign += value != static_cast<float>(i);
      }
      REQUIRE(target[i * 5 + 3 - i] == doctest::Approx(foreign / 192.0));
      REQUIRE(target[i * 5 + i] == doctest::Approx(1 - foreign / 192.0));
      some_cut |= foreign > 0;
    }
  }
  CHECK(some_cut);
}

TEST_CASE("sample_beta: has the mean and the variance of Beta(alpha, alpha)") {
  for (const double alpha : {0.2, 1.0, 4.0}) {
    CAPTURE(alpha);
    Random random = stream(99);
    double sum = 0, square = 0;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      const double b = sample_beta(random, alpha);
      REQUIRE(b >= 0);
      REQUIRE(b <= 1);
      sum += b, square += b * b;
    }
    const double mean = sum / kDraws;
    CHECK(mean == doctest::Approx(0.5).epsilon(0.03));
    CHECK(square / kDraws - mean * mean == doctest::Approx(1 / (4 * (2 * alpha + 1))).epsilon(0.05));
  }
}

TEST_CASE("mix: refuses a batch that is not channels-last or does not fit its labels") {
  Random random = stream(0);
  const Tensor nchw = empty({4, 3, 8, 8});
  CHECK(contains(error_of<ShapeError>([&] { mix_batch({.mixup = 1}, random, nchw, kLabels, 5); }),
                 "mix: needs channels-last images [N,C,H,W] and N labels, there are 5 labels"));
  CHECK(contains(error_of<ValueError>([&] { mix_batch({}, random, numbered(5), kLabels, 5); }),
                 "mix: alpha must be positive"));
}

}  // namespace gradus::data
