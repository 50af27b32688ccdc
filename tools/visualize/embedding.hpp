#pragma once
// High-dimensional points in the plane.

#include <array>
#include <cstdint>
#include <vector>

namespace gradus::program {

using Point = std::array<double, 2>;

/// The two principal components of n points of d numbers each (row by row): the projections on the directions of most
/// variance, found by orthogonal iteration. Each direction's largest entry is positive. ValueError for fewer than 3
/// points.
std::vector<Point> pca(const std::vector<float>& points, std::int64_t d);

struct TsneOptions {
  double perplexity = 30;  // effective number of neighbours
  int steps = 500;
};

/// t-SNE (van der Maaten and Hinton 2008), exact, from the principal components on: n^2 work a step. Deterministic.
std::vector<Point> tsne(const std::vector<float>& points, std::int64_t d, const TsneOptions& options = {});

}  // namespace gradus::program
