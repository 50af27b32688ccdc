#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/upsample/upsample.hpp"

namespace gradus {

void bench_upsample(BenchList& list) {
  const Tensor x = randn({8, 64, 28, 28}, {.format = Format::channels_last});
  const auto n = static_cast<double>(x.numel());
  for (Interpolation mode : {Interpolation::nearest, Interpolation::bilinear})
    list.push_back({"interpolate",
                    mode == Interpolation::nearest ? "8x64x28x28, twice, nearest" : "8x64x28x28, twice, bilinear",
                    7 * 4 * n, 4 * 5 * n, [=] { interpolate(x, {.scale_factor = 2.0, .mode = mode}); }});
}

}  // namespace gradus
