#pragma once
// The moments of a forward convolution's result, added up tile by tile as it is stored: what a batch norm in training
// starts with, without a pass over memory.
//
// A part is what one task writes, or a part of that; each adds up by itself, in its own order, and the parts are joined
// in theirs, so that the bits depend on the problem alone.

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/channel_rows/moments.hpp"

namespace gradus {

/// Sums over the results of a part, per channel: their distances from `shift`, one of them (small numbers, so that
/// nothing cancels where the mean is far from 0), and the squares of these. Whole vectors of channels.
struct ResultSums {
  float *shift, *s1, *s2;  // s2 below 0: nothing was added yet
};

class MomentParts {
 public:
  MomentParts(std::int64_t channels, std::int64_t parts);
  /// Of channels [0, …); a part that adds nothing need not be begun.
  ResultSums begin(std::int64_t part, std::int64_t results);
  /// Of all parts, in their order.
  Moments all() const;

 private:
  std::int64_t channels_, step_;  // step_: floats of each array
  std::vector<std::int64_t> results_;
  std::unique_ptr<float[]> sums_;
};

}  // namespace gradus

#if defined(GRADUS_ISA)
#include <algorithm>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_tile.hpp"

namespace gradus::GRADUS_ISA {

/// V vectors of add_up(), the last of `lanes` lanes.
template <int V, class At>
inline void add_up_vectors(const ResultSums& sums, std::int64_t c, std::int64_t lanes, int first, int end, At&& at) {
  const auto result = [&](int j, int v) {
    const float* p = at(j) + v * kLanes;
    return V > 1 || lanes == kLanes ? load(p) : load_first(p, lanes);
  };
  VecN shift[V], s1[V] = {}, s2[V] = {};
  if (sums.s2[c] < 0) {
    for (int v = 0; v < V; ++v) store(sums.shift + c + v * kLanes, result(first, v));
  } else {
    for (int v = 0; v < V; ++v) s1[v] = load(sums.s1 + c + v * kLanes), s2[v] = load(sums.s2 + c + v * kLanes);
  }
  for (int v = 0; v < V; ++v) shift[v] = load(sums.shift + c + v * kLanes);
  for (int j = first; j < end; ++j)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const VecN distance = result(j, v) - shift[v];
      s1[v] += distance;
      s2[v] += distance * distance;
    }
  for (int v = 0; v < V; ++v) store(sums.s1 + c + v * kLanes, s1[v]), store(sums.s2 + c + v * kLanes, s2[v]);
}

/// Adds up what was stored a moment ago: n channels, from k on, of the results at(j), j in [first, end). Read again,
/// and in a function of its own, so that the kernels' sums keep their registers.
template <class At>
[[gnu::noinline]] void add_up(const ResultSums& sums, std::int64_t k, std::int64_t n, int first, int end, At&& at) {
  std::int64_t i = 0;
  const auto from = [&](int j) { return at(j) + i; };
  for (; i + kTileVectors * kLanes <= n; i += kTileVectors * kLanes)
    add_up_vectors<kTileVectors>(sums, k + i, kLanes, first, end, from);
  for (; i < n; i += kLanes) add_up_vectors<1>(sums, k + i, std::min<std::int64_t>(kLanes, n - i), first, end, from);
}

}  // namespace gradus::GRADUS_ISA
#endif
