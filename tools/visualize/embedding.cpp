#include "tools/visualize/embedding.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/parallel.hpp"

namespace gradus::program {
namespace {

using Vector = std::vector<double>;

/// Points less their mean.
Vector centred(const std::vector<float>& points, std::int64_t n, std::int64_t d) {
  Vector x(points.begin(), points.end());
  for (std::int64_t j = 0; j < d; ++j) {
    double mean = 0;
    for (std::int64_t i = 0; i < n; ++i) mean += x[i * d + j];
    mean /= static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) x[i * d + j] -= mean;
  }
  return x;
}

double dot(const double* a, const double* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// Makes v one long; returns how long it was.
double normalise(Vector& v) {
  const double norm = std::sqrt(dot(v.data(), v.data(), std::ssize(v)));
  if (norm > 0)
    for (double& e : v) e /= norm;
  return norm;
}

std::int64_t count(const std::vector<float>& points, std::int64_t d) {
  const std::int64_t n = d > 0 ? std::ssize(points) / d : 0;
  check(d > 0 && n * d == std::ssize(points) && n >= 3, "embedding: needs 3 points or more, got {} numbers of dim {}",
        points.size(), d);
  return n;
}

/// Squared distances between all rows.
Vector squared_distances(const Vector& x, std::int64_t n, std::int64_t d) {
  Vector squares(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) squares[i] = dot(&x[i * d], &x[i * d], d);
  Vector all(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      all[i * n + j] = all[j * n + i] = std::max(0.0, squares[i] + squares[j] - 2 * dot(&x[i * d], &x[j * d], d));
  return all;
}

/// Row i of the affinities: a Gaussian around point i whose entropy is log(perplexity), found by bisection.
void affinities(const double* distances, std::int64_t n, std::int64_t i, double perplexity, double* p) {
  double nearest = 1e300;
  for (std::int64_t j = 0; j < n; ++j)
    if (j != i) nearest = std::min(nearest, distances[j]);
  double beta = 1, low = 0, high = 1e300;
  for (int tries = 0; tries < 64; ++tries) {
    double sum = 0, weighted = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      p[j] = j == i ? 0 : std::exp(-beta * (distances[j] - nearest));
      sum += p[j];
      weighted += p[j] * (distances[j] - nearest);
    }
    const double entropy = std::log(sum) + beta * weighted / sum;
    for (std::int64_t j = 0; j < n; ++j) p[j] /= sum;
    const double excess = entropy - std::log(perplexity);
    if (std::abs(excess) < 1e-5) break;
    (excess > 0 ? low : high) = beta;
    beta = high == 1e300 ? beta * 2 : (low + high) / 2;
  }
}

}  // namespace

std::vector<Point> pca(const std::vector<float>& points, std::int64_t d) {
  const std::int64_t n = count(points, d);
  const Vector x = centred(points, n, d);
  std::vector<Point> out(static_cast<std::size_t>(n));
  std::vector<Vector> found;
  double first_variance = 0;
  for (std::size_t k = 0; k < 2; ++k) {
    Vector v(static_cast<std::size_t>(d));
    for (std::int64_t j = 0; j < d; ++j)
      v[j] = std::cos(static_cast<double>(j) * static_cast<double>(k + 1));  // any start that is no axis
    double variance = 0;
    for (int step = 0; step < 200; ++step) {
      for (const Vector& u : found) {
        const double along = dot(u.data(), v.data(), d);
        for (std::int64_t j = 0; j < d; ++j) v[j] -= along * u[j];
      }
      variance = normalise(v);
      Vector next(static_cast<std::size_t>(d), 0);
      for (std::int64_t i = 0; i < n; ++i) {
        const double along = dot(&x[i * d], v.data(), d);
        for (std::int64_t j = 0; j < d; ++j) next[j] += along * x[i * d + j];
      }
      v = std::move(next);
    }
    normalise(v);
    if (k == 0) first_variance = variance;
    // Points on a line have no second direction, only rounding.
    if (variance < 1e-12 * first_variance) std::fill(v.begin(), v.end(), 0.0);
    const auto largest =
        std::max_element(v.begin(), v.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
    if (*largest < 0)
      for (double& e : v) e = -e;
    for (std::int64_t i = 0; i < n; ++i) out[i][k] = dot(&x[i * d], v.data(), d);
    found.push_back(std::move(v));
  }
  return out;
}

std::vector<Point> tsne(const std::vector<float>& points, std::int64_t d, const TsneOptions& o) {
  const std::int64_t n = count(points, d);
  const double perplexity = std::min(o.perplexity, static_cast<double>(n - 1) / 3);
  Vector p(static_cast<std::size_t>(n * n));
  {
    const Vector distances = squared_distances(centred(points, n, d), n, d);
    Vector rows(p.size());
    for (std::int64_t i = 0; i < n; ++i) affinities(&distances[i * n], n, i, perplexity, &rows[i * n]);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        p[i * n + j] = std::max((rows[i * n + j] + rows[j * n + i]) / (2 * static_cast<double>(n)), 1e-12);
  }
  // The principal components, small, are the start: it keeps the large-scale order and needs no random numbers.
  std::vector<Point> y = pca(points, d);
  double spread = 0;
  for (const Point& at : y) spread += at[0] * at[0];
  spread = std::sqrt(spread / static_cast<double>(n));
  for (Point& at : y)
    for (double& v : at) v *= spread > 0 ? 1e-2 / spread : 0;

  // Gains, momentum and exaggeration of the authors' program.
  constexpr int kExaggerated = 100;
  const double rate = std::max(1.0, static_cast<double>(n) / 12);
  std::vector<Point> velocity(y.size(), {0, 0}), gain(y.size(), {1, 1}), gradient(y.size());
  Vector near(p.size()), row_sums(y.size());
  for (int step = 0; step < o.steps; ++step) {
    const double exaggeration = step < kExaggerated ? 12 : 1, momentum = step < kExaggerated ? 0.5 : 0.8;
    parallel_ranges(n, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        double sum = 0;
        for (std::int64_t j = 0; j < n; ++j) {
          const double dx = y[i][0] - y[j][0], dy = y[i][1] - y[j][1];
          near[i * n + j] = i == j ? 0 : 1 / (1 + dx * dx + dy * dy);
          sum += near[i * n + j];
        }
        row_sums[i] = sum;
      }
    });
    double total = 0;
    for (const double sum : row_sums) total += sum;
    parallel_ranges(n, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        Point g{0, 0};
        for (std::int64_t j = 0; j < n; ++j) {
          const double w = near[i * n + j];
          const double pull = 4 * (exaggeration * p[i * n + j] - w / total) * w;
          for (std::size_t k = 0; k < 2; ++k) g[k] += pull * (y[i][k] - y[j][k]);
        }
        gradient[i] = g;
      }
    });
    for (std::int64_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < 2; ++k) {
        const bool same = (gradient[i][k] > 0) == (velocity[i][k] > 0);
        gain[i][k] = std::max(0.01, same ? gain[i][k] * 0.8 : gain[i][k] + 0.2);
        velocity[i][k] = momentum * velocity[i][k] - rate * gain[i][k] * gradient[i][k];
        y[i][k] += velocity[i][k];
      }
  }
  return y;
}

}  // namespace gradus::program
