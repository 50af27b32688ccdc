#include "ops/bench.hpp"
#include "ops/dropout/dropout.hpp"

namespace gradus {

void bench_dropout(BenchList& list) {
  const Tensor x = randn({128, 4096}), maps = randn({128, 64, 16, 16}, {.format = Format::channels_last});
  const auto n = static_cast<double>(x.numel()), m = static_cast<double>(maps.numel());
  list.push_back({"dropout", "128x4096", 2 * n, 8 * n, [=] { dropout(x, 0.5, true); }});
  list.push_back({"drop_path", "128x64x16x16", m, 8 * m, [=] { drop_path(maps, 0.2, true); }});
}

}  // namespace gradus
