#include "ops/max_unpool2d/max_unpool2d.hpp"

#include "autograd/node.hpp"
#include "ops/max_unpool2d/max_unpool2d_kernels.hpp"
#include "ops/number.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

constexpr const char* kNames[] = {"max_unpool2d", "max_unpool2d.backward", "max_unpool2d.collect"};

Tensor moved(UnpoolMove move, const Tensor& x, const Tensor& indices, const Shape& small, const Shape& large);

struct UnpoolNode final : Node {
  UnpoolMove move = UnpoolMove::put;
  Tensor indices;
  Shape small, large;
  const char* name() const override { return kNames[static_cast<int>(move)]; }
  Grads backward(const Tensor& gy) override {
    return {moved(move == UnpoolMove::fetch ? UnpoolMove::collect : UnpoolMove::fetch, gy, indices, small, large)};
  }
  void release() override { indices = Tensor(); }
  std::int64_t saved_bytes() const override { return indices.defined() ? indices.bytes() : 0; }
};

Tensor moved(UnpoolMove move, const Tensor& x_any, const Tensor& indices, const Shape& small, const Shape& large) {
  const Tensor x = contiguous(x_any, Format::channels_last);
  const TensorOptions like{.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last};
  Tensor y = move == UnpoolMove::fetch ? empty(small, like) : zeros(large, like);
  dispatch_number("max_unpool2d", x.dtype(), [&]<class T>(T) {
    const UnpoolProblem<T> p{move,     small[0],    small[2] * small[3],          large[2] * large[3],
                             small[1], x.data<T>(), indices.data<std::int64_t>(), y.data<T>()};
    run(
        kNames[static_cast<int>(move)], {x, indices, y},
        [&] {
          if constexpr (kOnCpu<T>) cpu::max_unpool2d<T>().run(p);
        },
        [&] { cuda::max_unpool2d(p); });
  });
  if (recording({x})) {
    auto node = std::make_shared<UnpoolNode>();
    node->move = move;
    node->indices = indices;
    node->small = small;
    node->large = large;
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace

Tensor max_unpool2d(const Tensor& x, const Tensor& indices, Pair output_size) {
  check_number("max_unpool2d", x);
  if (x.rank() != 4 || indices.shape() != x.shape())
    fail<ShapeError>("max_unpool2d: takes x [N,C,P,Q] and indices of the same shape\n{}",
                     describe({{"x", &x}, {"indices", &indices}}));
  check<DTypeError>(indices.dtype() == DType::i64, "max_unpool2d: indices are i64, got {}",
                    dtype_name(indices.dtype()));
  check_same_device("max_unpool2d", {{"x", &x}, {"indices", &indices}});
  if (output_size.h <= 0 || output_size.w <= 0)
    fail("max_unpool2d: output size {} is not positive", to_string(output_size));
  Tensor at = dense(indices.detach(), Format::channels_last);
  if (at.shares_storage(indices)) at = at.clone();  // backward trusts what is checked here
  run_anywhere("max_unpool2d.check", x.device(), [&] {
    const Tensor host = to(at, kCpu);
    const auto* index = host.data<std::int64_t>();
    const std::int64_t plane = output_size.h * output_size.w;
    for (std::int64_t i = 0; i < at.numel(); ++i)
      check(index[i] >= 0 && index[i] < plane, "max_unpool2d: index {} is outside a plane of {} x {}", index[i],
            output_size.h, output_size.w);
  });
  return moved(UnpoolMove::put, x, at, x.shape(), {x.shape()[0], x.shape()[1], output_size.h, output_size.w});
}

}  // namespace gradus
