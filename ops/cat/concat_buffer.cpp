#include "ops/cat/concat_buffer.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// The first `held` channels came from one input, the rest from the other.
struct AppendNode final : Node {
  std::int64_t held = 0;
  const char* name() const override { return "cat"; }
  Grads backward(const Tensor& gy) override {
    Grads g(inputs.size());
    if (needs(0)) g[0] = narrow(gy, 1, 0, held);
    if (inputs.size() > 1 && needs(1)) g[1] = narrow(gy, 1, held, gy.size(1) - held);
    return g;
  }
  void release() override {}
};

/// Writes x into the buffer's channels from `begin` on. Not an in-place write in the tape's sense: nobody has seen
/// these channels yet, and the tensors that readers saved are views of earlier ones.
void write_channels(const Tensor& buffer, const Tensor& x, std::int64_t begin) {
  run_anywhere("cat", {x, buffer}, [&] {
    const MemoryView window{buffer.as_strided(x.shape(), buffer.strides(), begin).data_ptr(), buffer.dtype(), x.shape(),
                            buffer.strides()};
    backend(x.device()).copy(x.view(), window);
  });
}

Tensor first_channels(const Tensor& buffer, std::int64_t channels) {
  Shape shape = buffer.shape();
  shape[1] = channels;
  return buffer.as_strided(shape, buffer.strides(), 0);
}

}  // namespace

ConcatBuffer::ConcatBuffer(const Tensor& x, std::int64_t capacity) {
  if (x.rank() != 4 || x.size(1) > capacity)
    fail<ShapeError>("ConcatBuffer: needs [N,C,H,W] with at most {} channels\n  x  {}", capacity, describe(x));
  Shape shape = x.shape();
  shape[1] = capacity;
  buffer_ = empty(shape, {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  if (x.numel() > 0) write_channels(buffer_, x, 0);
  held_ = first_channels(buffer_, x.size(1));
  if (recording({x})) {
    auto node = std::make_shared<AppendNode>();
    node->held = x.size(1);
    attach(held_, std::move(node), {x});
  }
}

Tensor ConcatBuffer::append(const Tensor& y_any) {
  const Tensor y = like_operand(y_any, held_);
  check_same_dtype("ConcatBuffer", {{"held", &held_}, {"y", &y}});
  check_same_device("ConcatBuffer", {{"held", &held_}, {"y", &y}});
  if (y.rank() != 4 || y.size(0) != held_.size(0) || y.size(2) != held_.size(2) || y.size(3) != held_.size(3))
    fail<ShapeError>("ConcatBuffer: sizes other than the channels' differ\n{}",
                     describe({{"held", &held_}, {"y", &y}}));
  const std::int64_t held = held_.size(1), channels = held + y.size(1);
  if (channels > buffer_.size(1))
    fail<ShapeError>("ConcatBuffer: {} channels do not fit a buffer of {}\n{}", channels, buffer_.size(1),
                     describe({{"held", &held_}, {"y", &y}}));
  if (y.numel() > 0) write_channels(buffer_, y, held);
  const Tensor all = first_channels(buffer_, channels);
  if (recording({held_, y})) {
    auto node = std::make_shared<AppendNode>();
    node->held = held;
    attach(all, std::move(node), {held_, y});
  }
  held_ = all;
  return all;
}

}  // namespace gradus
