#include "ops/softmax/softmax.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/softmax/softmax_kernels.hpp"

namespace gradus {
namespace {

Strides without(Strides strides, int dim) {
  strides.erase(dim);
  return strides;
}

struct SoftmaxNode final : Node {
  bool logarithm = false;
  int dim = 0;
  Saved y;
  const char* name() const override { return logarithm ? "log_softmax" : "softmax"; }
  std::int64_t saved_bytes() const override { return y.bytes(); }
  void release() override { y.reset(); }

  Grads backward(const Tensor& gy) override {
    const Tensor kept = y.get(*this);
    if (grad_enabled()) {
      if (logarithm) return {gy - exp(kept) * sum(gy, {dim}, true)};
      return {kept * (gy - sum(gy * kept, {dim}, true))};
    }
    Tensor gx = empty_like(kept);
    const SoftmaxGradProblem p{logarithm,
                               gy.dtype(),
                               kept.shape()[dim],
                               without(kept.shape(), dim),
                               without(gy.strides(), dim),
                               without(kept.strides(), dim),
                               without(gx.strides(), dim),
                               gy.strides()[dim],
                               kept.strides()[dim],
                               gx.strides()[dim],
                               gy.data_ptr(),
                               kept.data_ptr(),
                               gx.data_ptr()};
    run(
        logarithm ? "log_softmax.backward" : "softmax.backward", {gy, kept, gx},
        [&] { cpu::softmax_backward().run(p); }, [&] { cuda::softmax_backward().run(p); });
    return {gx};
  }
};

Tensor apply(bool logarithm, const Tensor& x, std::int64_t wanted) {
  const char* op = logarithm ? "log_softmax" : "softmax";
  const int dim = wrap_dim(op, wanted, x.rank());
  check_number(op, x);
  const Tensor y = empty_like(x);
  const SoftmaxProblem p{logarithm,
                         x.dtype(),
                         x.shape()[dim],
                         without(x.shape(), dim),
                         without(x.strides(), dim),
                         without(y.strides(), dim),
                         x.strides()[dim],
                         y.strides()[dim],
                         x.data_ptr(),
                         y.data_ptr()};
  run(
      op, {x, y}, [&] { cpu::softmax().run(p); }, [&] { cuda::softmax().run(p); });
  if (recording({x})) {
    auto node = std::make_shared<SoftmaxNode>();
    node->logarithm = logarithm;
    node->dim = dim;
    node->y = Saved::output(y);
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, std::int64_t dim) { return apply(false, raised(x), dim); }
Tensor log_softmax(const Tensor& x, std::int64_t dim) { return apply(true, raised(x), dim); }

}  // namespace gradus
