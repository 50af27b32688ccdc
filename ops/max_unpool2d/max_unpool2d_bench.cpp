#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"
#include "ops/max_unpool2d/max_unpool2d.hpp"

namespace gradus {

void bench_max_unpool2d(BenchList& list) {
  const auto [y, indices] = max_pool2d_with_indices(randn({8, 64, 112, 112}, {.format = Format::channels_last}),
                                                    {.kernel = 3, .stride = 2, .padding = 1});
  const double bytes = 12 * static_cast<double>(y.numel()) + 4 * 8 * 64 * 112 * 112;
  list.push_back(
      {"max_unpool2d", "64 ch @56 to 112, batch 8", 0, bytes, [x = y, at = indices] { max_unpool2d(x, at, 112); }});
}

}  // namespace gradus
