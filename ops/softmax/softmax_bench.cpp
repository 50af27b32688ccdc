#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/softmax/softmax.hpp"

namespace gradus {

void bench_softmax(BenchList& list) {
  for (const auto& [label, shape] : {std::pair{"256x1000", Shape{256, 1000}}, std::pair{"128x10", Shape{128, 10}}}) {
    const Tensor x = randn(shape);
    const auto n = static_cast<double>(x.numel());
    list.push_back({"softmax", label, 20 * n, 8 * n, [x] { softmax(x, 1); }});
    list.push_back({"log_softmax", label, 20 * n, 8 * n, [x] { log_softmax(x, 1); }});
  }
}

}  // namespace gradus
