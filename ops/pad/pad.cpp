#include "ops/pad/pad.hpp"

#include "autograd/node.hpp"
#include "ops/number.hpp"
#include "ops/pad/pad_kernels.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

struct PadNode final : Node {
  Dims before;
  const char* name() const override { return "pad"; }
  Grads backward(const Tensor& gy) override {
    Tensor gx = gy;
    for (int d = 0; d < before.size(); ++d)
      if (gx.shape()[d] != inputs[0].shape[d]) gx = narrow(gx, d, before[d], inputs[0].shape[d]);
    return {gx};
  }
  void release() override {}
};

}  // namespace

Tensor pad(const Tensor& x, const Dims& padding, double value) {
  if (padding.size() % 2 != 0 || padding.size() / 2 > x.rank())
    fail<ShapeError>("pad: {} does not give two numbers for each of the last dims\n  x  {}", to_string(padding),
                     describe(x));
  for (std::int64_t amount : padding)
    if (amount < 0) fail("pad: negative padding in {} (use narrow to cut)\n  x  {}", to_string(padding), describe(x));
  check_number("pad", x);
  Shape shape = x.shape();
  Dims before = Dims::filled(x.rank(), 0);
  for (int i = 0; i < padding.size() / 2; ++i) {
    const int d = x.rank() - 1 - i;
    before[d] = padding[2 * i];
    shape[d] += padding[2 * i] + padding[2 * i + 1];
  }
  const Tensor y = empty(shape, {.dtype = x.dtype(), .device = x.device(), .format = x.format()});
  const PadProblem p{x.dtype(), x.shape(), shape, x.strides(), y.strides(), before, value, x.data_ptr(), y.data_ptr()};
  run(
      "pad", {x, y}, [&] { cpu::pad().run(p); }, [&] { cuda::pad().run(p); });
  if (recording({x})) {
    auto node = std::make_shared<PadNode>();
    node->before = before;
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace gradus
