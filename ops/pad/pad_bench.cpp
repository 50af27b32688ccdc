#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/pad/pad.hpp"

namespace gradus {

void bench_pad(BenchList& list) {
  const Tensor x = randn({128, 16, 16, 16}, {.format = Format::channels_last});
  const auto n = static_cast<double>(x.numel());
  list.push_back({"pad", "128x(16+16)x16x16", 0, 12 * n, [=] { pad(x, {0, 0, 0, 0, 8, 8}); }});
  list.push_back({"pad", "128x16x16x16 by 1 pixel", 0, 8 * n, [=] { pad(x, {1, 1, 1, 1}); }});
}

}  // namespace gradus
