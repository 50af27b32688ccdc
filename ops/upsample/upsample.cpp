#include "ops/upsample/upsample.hpp"

#include <algorithm>
#include <cmath>

#include "autograd/node.hpp"
#include "ops/number.hpp"
#include "ops/run.hpp"
#include "ops/upsample/upsample_kernels.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// Taps of one axis, with positions computed in T, as PyTorch computes them.
template <class T>
std::vector<Tap> taps(std::int64_t in, std::int64_t out, const InterpolateOptions& options) {
  const T scale = options.align_corners  ? (out > 1 ? static_cast<T>(in - 1) / static_cast<T>(out - 1) : T(0))
                  : options.scale_factor ? static_cast<T>(1 / *options.scale_factor)
                                         : static_cast<T>(in) / static_cast<T>(out);
  std::vector<Tap> all;
  for (std::int64_t p = 0; p < out; ++p) {
    if (options.mode == Interpolation::nearest) {
      const auto low = std::min(static_cast<std::int64_t>(std::floor(static_cast<T>(p) * scale)), in - 1);
      all.push_back({low, low, 0});
    } else {
      const T at = options.align_corners ? static_cast<T>(p) * scale
                                         : std::max((static_cast<T>(p) + T(0.5)) * scale - T(0.5), T(0));
      const auto low = std::min(static_cast<std::int64_t>(at), in - 1);
      all.push_back({low, std::min(low + 1, in - 1), static_cast<double>(at - static_cast<T>(low))});
    }
  }
  return all;
}

/// Both directions of one interpolation.
struct Resize {
  InterpolateOptions options;
  Shape in, out;
};
Tensor forward(const Tensor& x, const Resize& resize);
Tensor backward(const Tensor& gy, const Resize& resize);

struct InterpolateNode final : Node {
  bool is_backward = false;
  Resize resize;
  const char* name() const override { return is_backward ? "interpolate.backward" : "interpolate"; }
  Grads backward(const Tensor& gy) override {
    return {is_backward ? forward(gy, resize) : gradus::backward(gy, resize)};
  }
  void release() override {}
};

void record(const Tensor& y, const Tensor& x, const Resize& resize, bool is_backward) {
  if (!recording({x})) return;
  auto node = std::make_shared<InterpolateNode>();
  node->is_backward = is_backward;
  node->resize = resize;
  attach(y, std::move(node), {x});
}

InterpolateProblem problem(const Resize& resize, const Tensor& in, const Tensor& out) {
  InterpolateProblem p{in.dtype(), in.size(0), in.size(1),    in.strides(),  out.strides(),
                       {},         {},         in.data_ptr(), out.data_ptr()};
  dispatch_float("interpolate", compute_dtype(in.dtype()), [&]<class T>(T) {
    p.rows = taps<T>(resize.in[2], resize.out[2], resize.options);
    p.columns = taps<T>(resize.in[3], resize.out[3], resize.options);
  });
  return p;
}

Tensor forward(const Tensor& x, const Resize& resize) {
  const Tensor y = empty(resize.out, {.dtype = x.dtype(), .device = x.device(), .format = x.format()});
  const InterpolateProblem p = problem(resize, x, y);
  run(
      "interpolate", {x, y}, [&] { cpu::interpolate().run(p); }, [&] { cuda::interpolate().run(p); });
  record(y, x, resize, false);
  return y;
}

Tensor backward(const Tensor& gy, const Resize& resize) {
  const Tensor gx = zeros(resize.in, {.dtype = gy.dtype(), .device = gy.device(), .format = gy.format()});
  const InterpolateProblem p = problem(resize, gx, gy);
  run(
      "interpolate.backward", {gy, gx}, [&] { cpu::interpolate_backward().run(p); },
      [&] { cuda::interpolate_backward().run(p); });
  record(gx, gy, resize, true);
  return gx;
}

}  // namespace

Tensor interpolate(const Tensor& x, const InterpolateOptions& options) {
  check_number("interpolate", x);
  if (x.rank() != 4 || x.size(2) <= 0 || x.size(3) <= 0)
    fail<ShapeError>("interpolate: needs [N,C,H,W] with a plane\n  x  {}", describe(x));
  check(options.size.has_value() != options.scale_factor.has_value(),
        "interpolate: exactly one of size and scale_factor is to be given");
  check(!options.align_corners || options.mode == Interpolation::bilinear,
        "interpolate: align_corners is for bilinear interpolation");
  Shape out = x.shape();
  if (options.size) {
    out[2] = options.size->h, out[3] = options.size->w;
  } else {
    const double factor = *options.scale_factor;
    check(std::isfinite(factor) && factor > 0, "interpolate: scale_factor {} is not positive", factor);
    for (int d : {2, 3}) out[d] = static_cast<std::int64_t>(std::floor(static_cast<double>(x.size(d)) * factor));
  }
  if (out[2] < 1 || out[3] < 1)
    fail("interpolate: the result's size {} x {} is not positive\n  x  {}", out[2], out[3], describe(x));
  return forward(x, {options, x.shape(), out});
}

}  // namespace gradus
