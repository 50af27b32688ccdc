#include "ops/local_response_norm/local_response_norm.hpp"

#include "autograd/node.hpp"
#include "ops/local_response_norm/local_response_norm_kernels.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

std::int64_t pixels_of(const Tensor& x) { return x.shape()[0] * x.shape()[2] * x.shape()[3]; }

/// The window sum as a recorded operator: what gradients of gradients are made of.
struct WindowSumNode final : Node {
  ChannelWindow window{};
  const char* name() const override { return "channel_window_sum"; }
  Grads backward(const Tensor& gy) override;
  void release() override {}
};

Tensor window_sum(const Tensor& x_any, ChannelWindow window) {
  const Tensor x = contiguous(x_any, Format::channels_last);
  Tensor y = empty_like(x);
  dispatch_number("channel_window_sum", x.dtype(), [&]<class T>(T) {
    run(
        "channel_window_sum", {x, y},
        [&] {
          if constexpr (kOnCpu<T>) channel_window_sum(x.data<T>(), pixels_of(x), x.shape()[1], window, y.data<T>());
        },
        [&] { cuda::channel_window_sum(x.data<T>(), pixels_of(x), x.shape()[1], window, y.data<T>()); });
  });
  if (recording({x})) {
    auto node = std::make_shared<WindowSumNode>();
    node->window = window;
    attach(y, std::move(node), {x});
  }
  return y;
}

Grads WindowSumNode::backward(const Tensor& gy) { return {window_sum(gy, window.mirrored())}; }

void run_kernel(const Tensor& x, const Tensor& gy, const Tensor& to, ChannelWindow window,
                const LocalResponseNormOptions& options) {
  const bool backward = gy.defined();
  dispatch_number("local_response_norm", x.dtype(), [&]<class T>(T) {
    const LrnProblem<T> p{pixels_of(x), x.shape()[1], window,      options.alpha / static_cast<double>(options.size),
                          options.beta, options.k,    x.data<T>(), backward ? gy.data<T>() : nullptr,
                          to.data<T>()};
    run(
        backward ? "local_response_norm.backward" : "local_response_norm", {x, gy, to},
        [&] {
          if constexpr (kOnCpu<T>) local_response_norm_candidates<T>(backward).run(p);
        },
        [&] { cuda::local_response_norm<T>(backward).run(p); });
  });
}

struct LrnNode final : Node {
  LocalResponseNormOptions options;
  ChannelWindow window{};
  Saved x;

  const char* name() const override { return "local_response_norm"; }
  void release() override { x.reset(); }
  std::int64_t saved_bytes() const override { return x.bytes(); }

  Grads backward(const Tensor& gy) override {
    const Tensor in = x.get(*this);
    if (grad_enabled()) {
      const double scale = options.alpha / static_cast<double>(options.size);
      const Tensor d = affine(window_sum(square(in), window), scale, options.k);
      const Tensor f = pow(d, -options.beta);
      return {gy * f - in * window_sum(gy * in * f / d, window.mirrored()) * (2 * scale * options.beta)};
    }
    const Tensor g = dense(gy.detach(), Format::channels_last);
    Tensor gx = empty_like(in);
    run_kernel(in, g, gx, window, options);
    return {gx};
  }
};

}  // namespace

Tensor local_response_norm(const Tensor& x_any, const LocalResponseNormOptions& options) {
  check_number("local_response_norm", x_any);
  if (x_any.rank() != 4) fail<ShapeError>("local_response_norm: takes [N,C,H,W]\n{}", describe({{"x", &x_any}}));
  check(options.size >= 1 && options.alpha >= 0 && options.k > 0,
        "local_response_norm: needs size >= 1, alpha >= 0 and k > 0, got size {}, alpha {}, k {}", options.size,
        options.alpha, options.k);
  const Tensor x = contiguous(x_any, Format::channels_last);
  // Of a window wider than the channels only what can be inside matters.
  const std::int64_t limit = std::max<std::int64_t>(0, x.shape()[1] - 1);
  const ChannelWindow window{std::min(limit, options.size / 2), std::min(limit, (options.size - 1) / 2)};
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = Format::channels_last});
  run_kernel(x, {}, y, window, options);
  if (recording({x})) {
    auto node = std::make_shared<LrnNode>();
    node->options = options;
    node->window = window;
    node->x = x;
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace gradus
