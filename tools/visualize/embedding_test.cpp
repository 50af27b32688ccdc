#include "tools/visualize/embedding.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "core/error.hpp"

using namespace gradus;
using namespace gradus::program;

namespace {

/// Three groups of 20 points in 5 dimensions, far apart.
std::vector<float> groups() {
  std::vector<float> points;
  std::uint32_t seed = 7;
  for (int i = 0; i < 60; ++i)
    for (int j = 0; j < 5; ++j) {
      seed = seed * 1664525u + 1013904223u;
      points.push_back(static_cast<float>(seed >> 8) / (1 << 24) + (j == i / 20 ? 20.0f : 0.0f));
    }
  return points;
}

double distance(const Point& a, const Point& b) { return std::hypot(a[0] - b[0], a[1] - b[1]); }

}  // namespace

TEST_CASE("embedding: principal components of points on a line are the line") {
  // Along (3, 4): lengths -5, 0, 5 around the mean; nothing across.
  const std::vector<Point> p = pca({7, 9, 10, 13, 13, 17}, 2);
  CHECK(p[0][0] == doctest::Approx(-5));
  CHECK(p[1][0] == doctest::Approx(0).epsilon(1e-9));
  CHECK(p[2][0] == doctest::Approx(5));
  for (const Point& at : p) CHECK(std::abs(at[1]) < 1e-9);
}

TEST_CASE("embedding: t-SNE keeps groups together and apart from each other, the same way every time") {
  const std::vector<Point> y = tsne(groups(), 5, {.perplexity = 10, .steps = 300});
  double within = 0, between = 1e300;
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (i / 20 == j / 20) within = std::max(within, distance(y[i], y[j]));
      if (i / 20 != j / 20) between = std::min(between, distance(y[i], y[j]));
    }
  CHECK(within < between);
  CHECK(tsne(groups(), 5, {.perplexity = 10, .steps = 300}) == y);
}

TEST_CASE("embedding: too few points are an error") {
  CHECK_THROWS_WITH_AS(pca({1, 2, 3, 4}, 2), doctest::Contains("needs 3 points or more"), ValueError);
}
