#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/view/view.hpp"

namespace gradus {

// Views cost nothing; these are the ones that copy.
void bench_view(BenchList& list) {
  const auto add = [&](const char* op, const char* label, const Tensor& x, auto fn) {
    list.push_back({op, label, 0, 2.0 * static_cast<double>(x.bytes()), [=] { fn(x); }});
  };
  const Tensor planes = randn({32, 3, 224, 224}), deep = randn({8, 256, 56, 56});
  add("channels_last", "3 ch @224, batch 32", planes, [](const Tensor& x) { channels_last(x); });
  add("channels_last", "256 ch @56, batch 8", deep, [](const Tensor& x) { channels_last(x); });
  add("contiguous", "256 ch @56, batch 8", channels_last(deep), [](const Tensor& x) { contiguous(x); });
  add("flip", "3 ch @224, batch 32", channels_last(planes), [](const Tensor& x) { flip(x, 3); });
}

}  // namespace gradus
