#include "ops/pool/windows.hpp"

#include <algorithm>

namespace gradus {
namespace {

void check_plane(const char* op, const Tensor& x) {
  if (x.rank() != 4) fail<ShapeError>("{}: takes [N,C,H,W]\n{}", op, describe({{"x", &x}}));
  if (x.shape()[2] <= 0 || x.shape()[3] <= 0)
    fail<ShapeError>("{}: planes without elements\n{}", op, describe({{"x", &x}}));
}

void finish(Windows& w) {
  w.widest = std::max<std::int64_t>(1, *std::max_element(w.count.begin(), w.count.end()));
  std::vector<std::int64_t> next(static_cast<std::size_t>(w.in) + 1, 0);
  const auto each = [&](auto&& fn) {
    for (std::int64_t o = 0; o < w.out; ++o)
      for (std::int64_t k = 0; k < w.count[static_cast<std::size_t>(o)]; ++k)
        fn(static_cast<std::size_t>(w.begin[static_cast<std::size_t>(o)] + k * w.step), o, k);
  };
  each([&](std::size_t i, std::int64_t, std::int64_t) { ++next[i + 1]; });
  for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
  w.reader_begin = next;
  w.readers.resize(static_cast<std::size_t>(next.back()));
  each([&](std::size_t i, std::int64_t o, std::int64_t k) { w.readers[static_cast<std::size_t>(next[i]++)] = {o, k}; });
}

Windows slide(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding, std::int64_t dilation,
              const Pool2dOptions& options) {
  const std::int64_t reach = dilation * (kernel - 1) + 1, room = in + 2 * padding - reach;
  Windows w;
  w.in = in;
  w.step = dilation;
  if (room < 0) return w;
  w.out = room / stride + 1;
  if (options.ceil_mode) {
    w.out = (room + stride - 1) / stride + 1;
    if ((w.out - 1) * stride >= in + padding) --w.out;
  }
  for (std::int64_t o = 0; o < w.out; ++o) {
    const std::int64_t start = o * stride - padding;
    const std::int64_t skipped = start < 0 ? (-start + dilation - 1) / dilation : 0;
    const std::int64_t first = start + skipped * dilation;
    const std::int64_t inside = first < in ? (in - 1 - first) / dilation + 1 : 0;
    w.begin.push_back(first);
    w.count.push_back(std::max<std::int64_t>(0, std::min(kernel - skipped, inside)));
    const std::int64_t padded = std::min(start + reach, in + padding) - start;
    w.size.push_back(static_cast<double>(options.count_include_pad ? padded : w.count.back()));
  }
  finish(w);
  return w;
}

Windows adapt(std::int64_t in, std::int64_t out) {
  Windows w;
  w.in = in;
  w.out = out;
  for (std::int64_t o = 0; o < out; ++o) {
    w.begin.push_back(o * in / out);
    w.count.push_back(((o + 1) * in + out - 1) / out - w.begin.back());
    w.size.push_back(static_cast<double>(w.count.back()));
  }
  finish(w);
  return w;
}

}  // namespace

PoolPlan sliding_windows(const char* op, const Tensor& x, const Pool2dOptions& options) {
  check_plane(op, x);
  const Pair kernel = options.kernel, padding = options.padding, dilation = options.dilation;
  const Pair stride = options.stride == Pair(0) ? kernel : options.stride;
  if (kernel.h <= 0 || kernel.w <= 0) fail("{}: kernel {} is not positive", op, to_string(kernel));
  if (stride.h <= 0 || stride.w <= 0) fail("{}: stride {} is not positive", op, to_string(stride));
  if (dilation.h <= 0 || dilation.w <= 0) fail("{}: dilation {} is not positive", op, to_string(dilation));
  const Pair reach{dilation.h * (kernel.h - 1) + 1, dilation.w * (kernel.w - 1) + 1};
  if (padding.h < 0 || padding.w < 0 || 2 * padding.h > reach.h || 2 * padding.w > reach.w)
    fail("{}: padding {} is not between 0 and half of kernel {} (dilation {})", op, to_string(padding),
         to_string(kernel), to_string(dilation));
  PoolPlan plan;
  plan.rows = slide(x.shape()[2], kernel.h, stride.h, padding.h, dilation.h, options);
  plan.cols = slide(x.shape()[3], kernel.w, stride.w, padding.w, dilation.w, options);
  if (plan.rows.out <= 0 || plan.cols.out <= 0)
    fail<ShapeError>("{}: kernel {} is larger than the padded input\n{}  padding {}, dilation {}", op,
                     to_string(kernel), describe({{"x", &x}}), to_string(padding), to_string(dilation));
  plan.in = x.shape();
  plan.out = {x.shape()[0], x.shape()[1], plan.rows.out, plan.cols.out};
  return plan;
}

PoolPlan adaptive_windows(const char* op, const Tensor& x, Pair output_size) {
  check_plane(op, x);
  if (output_size.h <= 0 || output_size.w <= 0) fail("{}: output size {} is not positive", op, to_string(output_size));
  return {x.shape(),
          {x.shape()[0], x.shape()[1], output_size.h, output_size.w},
          adapt(x.shape()[2], output_size.h),
          adapt(x.shape()[3], output_size.w)};
}

}  // namespace gradus
