#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/view/view.hpp"

namespace gradus {

void bench_matmul(BenchList& list) {
  struct Row {
    const char* label;
    Shape a, b;
  };
  for (const Row& row :
       {Row{"1024 cubed", {1024, 1024}, {1024, 1024}}, Row{"64 batches of 64 cubed", {64, 64, 64}, {64, 64, 64}},
        Row{"one row, 4096x4096", {1, 4096}, {4096, 4096}}}) {
    const Tensor a = randn(row.a), b = randn(row.b);
    const double m = static_cast<double>(a.numel()), n = static_cast<double>(b.size(-1));
    const double bytes = 4 * (m + static_cast<double>(b.numel()) + m / static_cast<double>(a.size(-1)) * n);
    list.push_back({"matmul", row.label, 2 * m * n, bytes, [=] { matmul(a, b); }});
    list.push_back({"matmul", std::string(row.label) + ", b transposed", 2 * m * n, bytes,
                    [a, t = transpose(contiguous(transpose(b, -1, -2)), -1, -2)] { matmul(a, t); }});
  }
}

}  // namespace gradus
