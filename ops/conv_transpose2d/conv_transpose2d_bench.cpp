#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/conv_transpose2d/conv_transpose2d.hpp"

namespace gradus {

void bench_conv_transpose2d(BenchList& list) {
  struct Row {
    const char* label;
    Shape x, weight;
    ConvTranspose2dOptions options;
  };
  const Row rows[] = {
      {"2x2/2 64->32 @28 to 56, batch 8", {8, 64, 28, 28}, {64, 32, 2, 2}, {.stride = 2}},
      {"4x4/2 128->64 @28 to 56, batch 8", {8, 128, 28, 28}, {128, 64, 4, 4}, {.stride = 2, .padding = 1}},
      {"3x3 64->64 @56, batch 8", {8, 64, 56, 56}, {64, 64, 3, 3}, {.padding = 1}},
  };
  for (const Row& row : rows) {
    const Tensor x = randn(row.x, {.format = Format::channels_last});
    const Tensor w = randn(row.weight, {.format = Format::channels_last});
    const Tensor seed = conv_transpose2d(x, w, {}, row.options);
    const double flops = 2.0 * static_cast<double>(x.numel()) * static_cast<double>(w.numel() / w.size(0));
    const double bytes = static_cast<double>(x.bytes() + w.bytes() + seed.bytes());
    list.push_back({"conv_transpose2d", row.label, flops, bytes, [=] { conv_transpose2d(x, w, {}, row.options); }});
    const Tensor leaf = x.detach(), weight = w.detach();
    set_requires_grad(leaf);
    set_requires_grad(weight);
    list.push_back({"conv_transpose2d with backward", row.label, 3 * flops, 3 * bytes, [=] {
                      grad({conv_transpose2d(leaf, weight, {}, row.options)}, {leaf, weight}, {.seeds = {seed}});
                    }});
  }
}

}  // namespace gradus
