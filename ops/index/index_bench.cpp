#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/index/index.hpp"

namespace gradus {

void bench_index(BenchList& list) {
  const Tensor x = randn({1000, 512}), rows = randperm(1000);
  const auto n = static_cast<double>(x.numel());
  list.push_back({"index_select", "1000 rows of 512", 0, 8 * n, [=] { index_select(x, 0, rows); }});
}

}  // namespace gradus
