#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/cat/cat.hpp"

namespace gradus {

void bench_cat(BenchList& list) {
  const TensorOptions channels_last{.format = Format::channels_last};
  const Tensor wide = randn({8, 256, 28, 28}, channels_last), narrow = randn({8, 32, 28, 28}, channels_last);
  const auto n = static_cast<double>(wide.numel() + narrow.numel());
  list.push_back({"cat", "8x(256+32)x28x28", 0, 8 * n, [=] { cat({wide, narrow}, 1); }});
}

}  // namespace gradus
