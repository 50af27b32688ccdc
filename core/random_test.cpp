#include "core/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.hpp"

namespace gradus {
namespace {

struct Moments {
  double mean = 0, deviation = 0, low = 0, high = 0;
};
Moments moments(const Tensor& x) {
  const auto v = x.to_vector<double>();
  Moments m{.low = v[0], .high = v[0]};
  for (const double e : v) m.mean += e / static_cast<double>(v.size());
  for (const double e : v) m.deviation += (e - m.mean) * (e - m.mean) / static_cast<double>(v.size());
  m.deviation = std::sqrt(m.deviation);
  m.low = *std::min_element(v.begin(), v.end());
  m.high = *std::max_element(v.begin(), v.end());
  return m;
}

}  // namespace

TEST_CASE("random: the same seed gives the same bits, whatever the number of threads, dtype format and tensor before") {
  const int before = num_threads();
  std::vector<double> first;
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    manual_seed(42);
    std::vector<double> all;
    for (const Tensor& x : {rand({100'003}), randn({3, 5, 7, 11}, {.format = Format::channels_last})}) {
      const auto v = x.to_vector<double>();
      all.insert(all.end(), v.begin(), v.end());
    }
    if (first.empty()) first = all;
    CHECK(all == first);
  }
  set_num_threads(before);
}

TEST_CASE("random: an element depends on its logical position, not on the memory order") {
  Generator a{7, 0}, b{7, 0};
  const Tensor x = randn({2, 3, 4, 5}, {}, a), y = randn({2, 3, 4, 5}, {.format = Format::channels_last}, b);
  CHECK(x.to_vector<float>() == y.to_vector<float>());
}

TEST_CASE("random: every tensor takes the next stream; seed and stream number are the whole state") {
  Generator g{1, 0};
  const Tensor a = rand({4}, {}, g);
  const Generator kept = g;
  const Tensor b = rand({4}, {}, g);
  CHECK(a.to_vector<float>() != b.to_vector<float>());
  Generator again = kept;
  CHECK(rand({4}, {}, again).to_vector<float>() == b.to_vector<float>());
  CHECK(again.next_stream == g.next_stream);
}

TEST_CASE("random: a meta tensor takes its stream too, so that shapes alone change no later number") {
  Generator a{3, 0}, b{3, 0};
  rand({4}, {.device = kMeta}, a);
  rand({4}, {}, b);
  CHECK(a.next_stream == b.next_stream);
}

TEST_CASE("rand: is uniform on [0, 1)") {
  Generator g{5, 0};
  const Moments m = moments(rand({200'000}, {}, g));
  CHECK(m.mean == doctest::Approx(0.5).epsilon(0.005));
  CHECK(m.deviation == doctest::Approx(std::sqrt(1 / 12.0)).epsilon(0.005));
  CHECK(m.low >= 0);
  CHECK(m.high < 1);
}

TEST_CASE("uniform_: stays below its upper end in f32, where rounding would reach it") {
  Generator g{6, 0};
  const Tensor x = empty({1 << 20});
  uniform_(x, 1, 2, g);
  const Moments m = moments(x);
  CHECK(m.low >= 1);
  CHECK(m.high < 2);
  uniform_(x, 1, std::nextafter(1.0f, 2.0f), g);  // one number fits
  CHECK(moments(x).high == 1);
}

TEST_CASE("randn: has mean 0, deviation 1, and a normal's share of large values") {
  Generator g{8, 0};
  const Tensor x = randn({200'000}, {.dtype = DType::f64}, g);
  const Moments m = moments(x);
  CHECK(std::abs(m.mean) < 0.01);
  CHECK(m.deviation == doctest::Approx(1).epsilon(0.01));
  const auto v = x.to_vector<double>();
  const auto beyond = std::count_if(v.begin(), v.end(), [](double e) { return std::abs(e) > 2; });
  CHECK(static_cast<double>(beyond) / 200'000 == doctest::Approx(0.0455).epsilon(0.05));
}

TEST_CASE("truncated_normal_: stays inside its bounds and keeps the shape between them") {
  Generator g{9, 0};
  const Tensor x = empty({100'000}, {.dtype = DType::f64});
  truncated_normal_(x, 1, 2, -1, 3, g);  // one deviation to each side
  const Moments m = moments(x);
  CHECK(m.low >= -1);
  CHECK(m.high <= 3);
  CHECK(m.mean == doctest::Approx(1).epsilon(0.02));
  CHECK(m.deviation == doctest::Approx(2 * 0.5396).epsilon(0.01));  // of a standard normal on [-1, 1]
}

TEST_CASE("truncated_normal_: refuses bounds that hold next to nothing") {
  const Tensor x = empty({1});
  CHECK_THROWS_WITH_AS(truncated_normal_(x, 0, 1, 7, 9),
                       "truncated_normal_: hardly any values of mean 0, deviation 1 are between 7 and 9", ValueError);
  CHECK_THROWS_AS(truncated_normal_(x, 0, 1, 1, 1), ValueError);
  CHECK_THROWS_AS(truncated_normal_(x, 0, 0, -1, 1), ValueError);
}

TEST_CASE("randperm: is an order of 0 to n-1, another for another stream") {
  Generator g{10, 0};
  auto a = randperm(1000, g).to_vector<std::int64_t>(), b = randperm(1000, g).to_vector<std::int64_t>();
  CHECK(a != b);
  std::sort(a.begin(), a.end());
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a[i] == static_cast<std::int64_t>(i));
  CHECK(randperm(0, g).numel() == 0);
  CHECK_THROWS_WITH_AS(randperm(-1, g), "randperm: negative length -1", ValueError);
}

TEST_CASE("randperm: every order of three is about equally likely") {
  Generator g{11, 0};
  int counts[27] = {};
  for (int i = 0; i < 6000; ++i) {
    const auto p = randperm(3, g).to_vector<std::int64_t>();
    ++counts[p[0] * 9 + p[1] * 3 + p[2]];
  }
  for (const int c : counts) CHECK((c == 0 || std::abs(c - 1000) < 150));
}

TEST_CASE("random: an integer tensor is refused") {
  CHECK_THROWS_WITH_AS(rand({2}, {.dtype = DType::i64}), "uniform_: takes f32 or f64, got i64 (convert with to())",
                       DTypeError);
}

}  // namespace gradus
