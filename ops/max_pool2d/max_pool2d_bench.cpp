#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/max_pool2d/max_pool2d.hpp"

namespace gradus {

void bench_max_pool2d(BenchList& list) {
  struct Problem {
    const char* label;
    Shape shape;
    Pool2dOptions options;
  };
  for (const Problem& p :
       {Problem{"3x3/2 64 ch @112, batch 8", {8, 64, 112, 112}, {.kernel = 3, .stride = 2, .padding = 1}},
        Problem{"2x2/2 64 ch @224, batch 2", {2, 64, 224, 224}, {.kernel = 2}},
        Problem{"3x3/1 480 ch @14, batch 8", {8, 480, 14, 14}, {.kernel = 3, .stride = 1, .padding = 1}}}) {
    const Tensor x = randn(p.shape, {.format = Format::channels_last}), leaf = x.detach();
    set_requires_grad(leaf);
    const Tensor y = max_pool2d(leaf, p.options), seed = randn(y.shape(), {.format = Format::channels_last});
    const auto in = static_cast<double>(x.numel()), out = static_cast<double>(y.numel());
    const double compares = out * static_cast<double>(p.options.kernel.h * p.options.kernel.w);
    const Pool2dOptions options = p.options;
    list.push_back({"max_pool2d", p.label, compares, 4 * in + 5 * out, [=] { max_pool2d(x, options); }});
    list.push_back({"max_pool2d.backward", p.label, compares, 4 * in + 5 * out,
                    [=] { grad({y}, {leaf}, {.seeds = {seed}, .retain_graph = true}); }});
  }
}

}  // namespace gradus
