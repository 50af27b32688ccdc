#include "ops/se_scale/se_scale.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/se_scale/se_scale_kernels.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

struct SeScaleNode final : Node {
  Saved x, s;
  Tensor bits;  // y > 0; with both a residual and ReLU
  bool relu = false, has_residual = false;

  const char* name() const override { return "se_scale"; }
  void release() override {
    x.reset();
    s.reset();
    bits = Tensor();
  }
  std::int64_t saved_bytes() const override { return x.bytes() + s.bytes() + (bits.defined() ? bits.bytes() : 0); }
  bool wants_residual() const { return has_residual && needs(2); }

  Grads backward(const Tensor& gy) override {
    if (grad_enabled()) return composed(gy);
    return dispatch_number(name(), dtype, [&]<class T>(T) { return fused<T>(gy); });
  }

  template <class T>
  Grads fused(const Tensor& gy) {
    const Tensor in = x.get(*this), gates = dense(s.get(*this).detach(), Format::contiguous);
    // A gradient that nobody else will look at is overwritten by the one that takes its place.
    const bool spare = !gy.is_contiguous(Format::channels_last) || gy.unique_storage();
    const Tensor g = dense(gy.detach(), Format::channels_last);
    Grads grads(inputs.size());
    if (wants_residual()) grads[2] = !relu || spare ? g : empty_like(in);
    if (needs(0)) grads[0] = spare && !wants_residual() ? g : empty_like(in);
    if (needs(1)) grads[1] = empty(inputs[1].shape, {.dtype = dtype, .device = gy.device()});
    const SeScaleBackward<T> p{in.shape()[0],
                               in.shape()[2] * in.shape()[3],
                               in.shape()[1],
                               in.data<T>(),
                               gates.data<T>(),
                               g.data<T>(),
                               !relu          ? Gate::none
                               : has_residual ? Gate::from_bits
                                              : Gate::from_x,
                               bits.defined() ? static_cast<const std::uint32_t*>(bits.data_ptr()) : nullptr,
                               needs(0) ? grads[0].data<T>() : nullptr,
                               needs(1) ? grads[1].data<T>() : nullptr,
                               wants_residual() && relu ? grads[2].data<T>() : nullptr};
    run(
        "se_scale.backward", {gy, in, gates, grads[0]},
        [&] {
          if constexpr (kOnCpu<T>) se_scale_backward_candidates<T>().run(p);
        },
        [&] { cuda::se_scale_backward<T>().run(p); });
    return grads;
  }

  /// The same in recorded operators, for gradients of gradients; ReLU's gate is a constant.
  Grads composed(const Tensor& gy) {
    const Tensor in = x.get(*this), gates = s.get(*this);
    const Tensor g = relu ? gy * open_gate(in.detach(), gates.detach()) : gy;
    Grads grads(inputs.size());
    if (needs(0)) grads[0] = g * gates;
    if (needs(1)) grads[1] = sum(g * in, {2, 3}, true);
    if (wants_residual()) grads[2] = g;
    return grads;
  }

  Tensor open_gate(const Tensor& in, const Tensor& gates) {
    const NoGrad off;
    if (!has_residual) return greater(in * gates, zeros({}, {.dtype = dtype, .device = in.device()}));
    Tensor open = empty_like(in);
    const std::int64_t images = in.shape()[0], rows = in.shape()[2] * in.shape()[3], channels = in.shape()[1];
    const auto* words = static_cast<const std::uint32_t*>(bits.data_ptr());
    dispatch_number(name(), dtype, [&]<class T>(T) {
      run(
          "se_scale.expand_bits", {in, open},
          [&] {
            if constexpr (kOnCpu<T>) se_scale_expand_bits(words, images, rows, channels, open.data<T>());
          },
          [&] { cuda::se_scale_expand_bits(words, images * rows * channels, open.data<T>()); });
    });
    return open;
  }
};

}  // namespace

Tensor se_scale(const Tensor& x_any, const Tensor& s_any, const SeScaleOptions& options, const Tensor& residual_given) {
  const Tensor s = like_operand(s_any, x_any), residual_any = like_operand(residual_given, x_any);
  const bool fits = x_any.rank() == 4 && s.shape() == Shape{x_any.shape()[0], x_any.shape()[1], 1, 1} &&
                    (!residual_any.defined() || residual_any.shape() == x_any.shape());
  if (!fits)
    fail<ShapeError>("se_scale: takes x [N,C,H,W], s [N,C,1,1] and a residual like x\n{}",
                     describe({{"x", &x_any}, {"s", &s}, {"residual", &residual_any}}));
  check_same_device("se_scale", {{"x", &x_any}, {"s", &s}, {"residual", &residual_any}});
  check_same_dtype("se_scale", {{"x", &x_any}, {"s", &s}, {"residual", &residual_any}});
  check_number("se_scale", x_any);
  const Tensor x = contiguous(x_any, Format::channels_last);
  const Tensor residual = residual_any.defined() ? contiguous(residual_any, Format::channels_last) : Tensor();
  const std::int64_t images = x.shape()[0], channels = x.shape()[1], rows = x.shape()[2] * x.shape()[3];

  std::vector<Tensor> inputs{x, s};
  if (residual.defined()) inputs.push_back(residual);
  const bool recorded = recording(inputs);
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  Tensor bits;
  if (recorded && options.relu && residual.defined())
    bits = empty({4 * se_scale_words(images, rows, channels)}, {.dtype = DType::u8, .device = x.device()});
  const Tensor gates = dense(s.detach(), Format::contiguous);
  dispatch_number("se_scale", x.dtype(), [&]<class T>(T) {
    const SeScaleForward<T> p{images,
                              rows,
                              channels,
                              x.data<T>(),
                              gates.data<T>(),
                              residual.defined() ? residual.data<T>() : nullptr,
                              options.relu,
                              y.data<T>(),
                              bits.defined() ? static_cast<std::uint32_t*>(bits.data_ptr()) : nullptr};
    run(
        "se_scale", {x, gates, residual, y},
        [&] {
          if constexpr (kOnCpu<T>) se_scale_candidates<T>().run(p);
        },
        [&] { cuda::se_scale<T>().run(p); });
  });
  if (recorded) {
    auto node = std::make_shared<SeScaleNode>();
    node->x = x;
    node->s = s;
    node->bits = bits;
    node->relu = options.relu;
    node->has_residual = residual.defined();
    attach(y, std::move(node), inputs);
  }
  return y;
}

}  // namespace gradus
