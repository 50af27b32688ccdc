#include "ops/max_unpool2d/max_unpool2d.hpp"

#include "autograd/node.hpp"
#include "core/parallel.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

enum class Move {
  put,      // y[index] = x, zero elsewhere
  fetch,    // y = x[index]: the gradient of put
  collect,  // y[index] += x: the gradient of fetch
};

constexpr const char* kNames[] = {"max_unpool2d", "max_unpool2d.backward", "max_unpool2d.collect"};

/// Bound by memory: each operand once. Images run in parallel; within one, elements go in order.
template <class T>
void move_elements(Move move, const T* x, const std::int64_t* index, std::int64_t images, std::int64_t windows,
                   std::int64_t plane, std::int64_t channels, T* y) {
  const std::int64_t few = windows * channels, many = plane * channels;
  parallel_for(images, [&](std::int64_t n) {
    const std::int64_t* at = index + n * few;
    if (move == Move::fetch) {
      const T* from = x + n * many;
      for (std::int64_t i = 0; i < few; ++i) y[n * few + i] = from[at[i] * channels + i % channels];
    } else {
      const T* from = x + n * few;
      T* to = y + n * many;
      for (std::int64_t i = 0; i < few; ++i) {
        T& place = to[at[i] * channels + i % channels];
        place = move == Move::put ? from[i] : place + from[i];
      }
    }
  });
}

Tensor moved(Move move, const Tensor& x, const Tensor& indices, const Shape& small, const Shape& large);

struct UnpoolNode final : Node {
  Move move = Move::put;
  Tensor indices;
  Shape small, large;
  const char* name() const override { return kNames[static_cast<int>(move)]; }
  Grads backward(const Tensor& gy) override {
    return {moved(move == Move::fetch ? Move::collect : Move::fetch, gy, indices, small, large)};
  }
  void release() override { indices = Tensor(); }
  std::int64_t saved_bytes() const override { return indices.defined() ? indices.bytes() : 0; }
};

Tensor moved(Move move, const Tensor& x_any, const Tensor& indices, const Shape& small, const Shape& large) {
  const Tensor x = contiguous(x_any, Format::channels_last);
  const TensorOptions like{.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last};
  Tensor y = move == Move::fetch ? empty(small, like) : zeros(large, like);
  run(kNames[static_cast<int>(move)], x.device(), [&] {
    dispatch_float("max_unpool2d", x.dtype(), [&]<class T>(T) {
      move_elements(move, x.data<T>(), indices.data<std::int64_t>(), small[0], small[2] * small[3], large[2] * large[3],
                    small[1], y.data<T>());
    });
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
  dispatch_float("max_unpool2d", x.dtype(), [](auto) {});
  check<ShapeError>(x.rank() == 4 && indices.shape() == x.shape(),
                    "max_unpool2d: takes x [N,C,P,Q] and indices of the same shape\n{}",
                    describe({{"x", &x}, {"indices", &indices}}));
  check<DTypeError>(indices.dtype() == DType::i64, "max_unpool2d: indices are i64, got {}",
                    dtype_name(indices.dtype()));
  check_same_device("max_unpool2d", {{"x", &x}, {"indices", &indices}});
  check(output_size.h > 0 && output_size.w > 0, "max_unpool2d: output size {} is not positive", to_string(output_size));
  Tensor at = dense(indices.detach(), Format::channels_last);
  if (at.shares_storage(indices)) at = at.clone();  // backward trusts what is checked here
  run("max_unpool2d.check", x.device(), [&] {
    const auto* index = at.data<std::int64_t>();
    const std::int64_t plane = output_size.h * output_size.w;
    for (std::int64_t i = 0; i < at.numel(); ++i)
      check(index[i] >= 0 && index[i] < plane, "max_unpool2d: index {} is outside a plane of {} x {}", index[i],
            output_size.h, output_size.w);
  });
  return moved(Move::put, x, at, x.shape(), {x.shape()[0], x.shape()[1], output_size.h, output_size.w});
}

}  // namespace gradus
