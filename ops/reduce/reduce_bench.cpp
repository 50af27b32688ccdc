#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/reduce/reduce.hpp"

namespace gradus {

void bench_reduce(BenchList& list) {
  struct Row {
    const char* label;
    Shape shape;
    Format format;
    Dims dims;
  };
  for (const Row& row : {Row{"channels of 128x16x32x32", {128, 16, 32, 32}, Format::channels_last, {0, 2, 3}},
                         Row{"channels of 8x256x56x56", {8, 256, 56, 56}, Format::channels_last, {0, 2, 3}},
                         Row{"planes of 8x2048x7x7", {8, 2048, 7, 7}, Format::channels_last, {2, 3}},
                         Row{"planes of 8x256x56x56, contiguous", {8, 256, 56, 56}, Format::contiguous, {2, 3}},
                         Row{"all of 8x256x56x56", {8, 256, 56, 56}, Format::channels_last, {}}}) {
    const Tensor x = randn(row.shape, {.format = row.format});
    const auto n = static_cast<double>(x.numel());
    list.push_back({"sum", row.label, n, 4 * n, [x, dims = row.dims] { sum(x, dims); }});
  }
  const Tensor logits = randn({256, 1000});
  list.push_back({"argmax", "256x1000", 256e3, 1024e3, [=] { argmax(logits, 1); }});
}

}  // namespace gradus
