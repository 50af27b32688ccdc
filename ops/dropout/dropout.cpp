#include "ops/dropout/dropout.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/node.hpp"
#include "ops/dropout/dropout_kernels.hpp"
#include "ops/number.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// What falls and by how much the rest grows. The map x -> y is linear and its own transpose.
struct Mask {
  const char* op;
  Philox philox;
  double p;
  bool per_sample;
};

Tensor masked(const Tensor& x, const Mask& mask);

struct DropoutNode final : Node {
  Mask mask{};
  const char* name() const override { return mask.op; }
  Grads backward(const Tensor& gy) override { return {masked(gy, mask)}; }
  void release() override {}
};

Tensor masked(const Tensor& x_any, const Mask& mask) {
  const Tensor x = contiguous(x_any, Format::channels_last);
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  const std::int64_t samples = x.rank() == 0 ? 1 : x.shape()[0];
  const std::int64_t group = mask.per_sample && samples > 0 ? x.numel() / samples : 1;
  const auto threshold = static_cast<std::uint32_t>(std::min(std::round(mask.p * 0x1p32), 0x1p32 - 1));
  dispatch_number(mask.op, x.dtype(), [&]<class T>(T) {
    const DropoutProblem<T> p{mask.philox, threshold,  1 / (1 - mask.p), x.numel(), std::max<std::int64_t>(1, group),
                              x.data<T>(), y.data<T>()};
    run(
        mask.op, {x, y},
        [&] {
          if constexpr (kOnCpu<T>) dropout_candidates<T>().run(p);
        },
        [&] { cuda::dropout<T>().run(p); });
  });
  if (recording({x})) {
    auto node = std::make_shared<DropoutNode>();
    node->mask = mask;
    attach(y, std::move(node), {x});
  }
  return y;
}

Tensor drop(const char* op, const Tensor& x, double p, bool training, bool per_sample, Generator& generator) {
  check_number(op, x);
  check(p >= 0 && p < 1, "{}: probability {} is not in [0, 1)", op, p);
  if (!training || p == 0) return x;
  return masked(x, {op, generator.stream(), p, per_sample});
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training, Generator& generator) {
  return drop("dropout", x, p, training, false, generator);
}

Tensor drop_path(const Tensor& x, double p, bool training, Generator& generator) {
  return drop("drop_path", x, p, training, true, generator);
}

}  // namespace gradus
