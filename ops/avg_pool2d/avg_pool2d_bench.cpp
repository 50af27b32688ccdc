#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/avg_pool2d/avg_pool2d.hpp"
#include "ops/bench.hpp"

namespace gradus {

void bench_avg_pool2d(BenchList& list) {
  struct Problem {
    const char* label;
    Shape shape;
    Pool2dOptions options;
  };
  for (const Problem& p :
       {Problem{"2x2/2 256 ch @56, batch 8", {8, 256, 56, 56}, {.kernel = 2}},
        Problem{"3x3/1 288 ch @35, batch 4", {4, 288, 35, 35}, {.kernel = 3, .stride = 1, .padding = 1}},
        Problem{"global 2048 ch @7, batch 8", {8, 2048, 7, 7}, {.kernel = 7}}}) {
    const Tensor x = randn(p.shape, {.format = Format::channels_last}), leaf = x.detach();
    set_requires_grad(leaf);
    const Tensor y = avg_pool2d(leaf, p.options), seed = randn(y.shape(), {.format = Format::channels_last});
    const auto in = static_cast<double>(x.numel()), out = static_cast<double>(y.numel());
    const double adds = out * static_cast<double>(p.options.kernel.h * p.options.kernel.w);
    const Pool2dOptions options = p.options;
    list.push_back({"avg_pool2d", p.label, adds, 4 * (in + out), [=] { avg_pool2d(x, options); }});
    list.push_back({"avg_pool2d.backward", p.label, adds, 4 * (in + out),
                    [=] { grad({y}, {leaf}, {.seeds = {seed}, .retain_graph = true}); }});
  }
}

}  // namespace gradus
