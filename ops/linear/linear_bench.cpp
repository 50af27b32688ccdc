#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/linear/linear.hpp"

namespace gradus {

void bench_linear(BenchList& list) {
  struct Row {
    const char* label;
    std::int64_t n, in, out;
  };
  for (const Row& row : {Row{"128x64 -> 10", 128, 64, 10}, Row{"8x2048 -> 1000", 8, 2048, 1000},
                         Row{"8x25088 -> 4096", 8, 25088, 4096}, Row{"32x9216 -> 4096", 32, 9216, 4096}}) {
    const Tensor x = randn({row.n, row.in}), weight = randn({row.out, row.in}), bias = randn({row.out});
    const double flops = 2.0 * static_cast<double>(row.n * row.in * row.out);
    const double bytes = 4.0 * static_cast<double>(x.numel() + weight.numel() + row.n * row.out);
    list.push_back({"linear", row.label, flops, bytes, [=] { linear(x, weight, bias); }});
    const Tensor leaf = x.detach(), parameter = weight.detach();
    set_requires_grad(leaf);
    set_requires_grad(parameter);
    const Tensor seed = randn({row.n, row.out});
    list.push_back({"linear with backward", row.label, 3 * flops, 3 * bytes, [=] {
                      grad({linear(leaf, parameter)}, {leaf, parameter}, {.seeds = {seed}});
                    }});
  }
}

}  // namespace gradus
