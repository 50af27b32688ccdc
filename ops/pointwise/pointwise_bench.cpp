#include "autograd/engine.hpp"
#include "autograd/node.hpp"
#include "core/random.hpp"
#include "ops/bench.hpp"
#include "ops/pointwise/binary.hpp"

namespace gradus {

void bench_pointwise(BenchList& list) {
  const Shape shape{128, 16, 32, 32};  // an activation of ResNet-20: 8 MiB
  const Tensor a = randn(shape, {.format = Format::channels_last}), b = randn(shape, {.format = Format::channels_last});
  const Tensor gate = rand({128, 16, 1, 1}, {.format = Format::channels_last});
  const double n = static_cast<double>(a.numel());
  list.push_back({"relu", "128x16x32x32", n, 8 * n, [=] { relu(a); }});
  list.push_back({"sigmoid", "128x16x32x32", 4 * n, 8 * n, [=] { sigmoid(a); }});
  list.push_back({"add", "128x16x32x32", n, 12 * n, [=] { add(a, b); }});
  list.push_back({"mul", "128x16x32x32 by 128x16x1x1", n, 8 * n, [=] { mul(a, gate); }});

  // What an operator costs beside its work: milliseconds here are microseconds an operator.
  const Tensor one = ones({1});
  const auto chain = [one](Tensor x) {
    for (int i = 0; i < 1000; ++i) x = add(x, one);
    return x;
  };
  list.push_back({"overhead", "1,000 adds of one number", 1000, 12000, [=] { chain(one); }});
  list.push_back({"overhead", "the same recorded, and backward", 2000, 24000, [=] {
                    Tensor leaf = ones({1});
                    set_requires_grad(leaf);
                    backward(chain(leaf));
                  }});
}

}  // namespace gradus
