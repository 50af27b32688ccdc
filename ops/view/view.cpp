#include "ops/view/view.hpp"

#include <bitset>

#include "autograd/node.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"

namespace gradus {
namespace {

/// A view's node saves nothing: its backward is another view, or a copy, of the gradient.
template <class Rule>
struct ViewNode final : Node {
  ViewNode(const char* op, Rule r) : op_name(op), rule(std::move(r)) {}
  const char* name() const override { return op_name; }
  Grads backward(const Tensor& gy) override { return {rule(gy)}; }
  void release() override {}
  const char* op_name;
  Rule rule;
};

template <class Rule>
Tensor on_tape(const char* op, const Tensor& x, Tensor y, Rule rule) {
  if (recording({x})) attach(y, std::make_shared<ViewNode<Rule>>(op, std::move(rule)), {x});
  return y;
}

/// y of x's shape that is zero but for one strided window, which is gy: the backward of narrow, slice and select.
struct Window {
  Shape shape;               // of x
  Dims start, step, length;  // the window, per dim of x
};
Tensor scatter_window(const Tensor& gy, const Window& window);

/// The strided window of x; the forward of narrow and slice, and the backward of scatter_window.
Tensor window_of(const Tensor& x, const Window& w) {
  Strides strides = x.strides();
  std::int64_t offset = x.offset();
  for (int d = 0; d < x.rank(); ++d) {
    offset += w.start[d] * x.strides()[d];
    strides[d] = x.strides()[d] * w.step[d];
  }
  if (numel(w.length) == 0) offset = 0;
  return on_tape("slice", x, x.as_strided(w.length, strides, offset),
                 [w](const Tensor& gy) { return scatter_window(gy, w); });
}

Tensor scatter_window(const Tensor& gy, const Window& w) {
  Tensor y = zeros(w.shape, {.dtype = gy.dtype(),
                             .device = gy.device(),
                             .format = w.shape.size() == 4 ? Format::channels_last : Format::contiguous});
  Strides strides = y.strides();
  std::int64_t offset = 0;
  for (int d = 0; d < y.rank(); ++d) {
    offset += w.start[d] * y.strides()[d];
    strides[d] = y.strides()[d] * w.step[d];
  }
  if (gy.numel() > 0 && !gy.is_meta())
    run_anywhere("slice.backward", {gy, y}, [&] { y.as_strided(w.length, strides, offset).copy_(gy.detach()); });
  return on_tape("slice.backward", gy, y, [w](const Tensor& ggy) { return window_of(ggy, w); });
}

Window whole(const Tensor& x) { return {x.shape(), Dims::filled(x.rank(), 0), Dims::filled(x.rank(), 1), x.shape()}; }

/// Strides that give x another shape without a copy, if there are any (NumPy's rule: each run of old dims that can be
/// merged must be a product of new dims).
bool strides_for(const Tensor& x, const Shape& shape, Strides* strides) {
  if (x.numel() == 0) {
    *strides = dense_strides(shape, Format::contiguous);
    return true;
  }
  // Old dims without the 1-sized ones.
  Dims sizes, steps;
  for (int d = 0; d < x.rank(); ++d)
    if (x.shape()[d] != 1) sizes.push_back(x.shape()[d]), steps.push_back(x.strides()[d]);
  *strides = Strides::filled(shape.size(), 1);
  int old_begin = 0, new_begin = 0;
  while (old_begin < sizes.size() && new_begin < shape.size()) {
    std::int64_t old_count = sizes[old_begin], new_count = shape[new_begin];
    int old_end = old_begin + 1, new_end = new_begin + 1;
    while (old_count != new_count) {
      if (old_count < new_count)
        old_count *= sizes[old_end++];
      else
        new_count *= shape[new_end++];
    }
    for (int d = old_begin; d + 1 < old_end; ++d)
      if (steps[d] != steps[d + 1] * sizes[d + 1]) return false;
    std::int64_t step = steps[old_end - 1];
    for (int d = new_end - 1; d >= new_begin; --d) {
      (*strides)[d] = step;
      step *= shape[d];
    }
    old_begin = old_end;
    new_begin = new_end;
  }
  return true;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  std::int64_t known = 1;
  int unknown = -1;
  for (int d = 0; d < shape.size(); ++d) {
    if (shape[d] == -1 && unknown < 0)
      unknown = d;
    else
      known *= shape[d];
  }
  if (unknown >= 0 && known > 0 && x.numel() % known == 0) shape[unknown] = x.numel() / known;
  bool fits = true;
  for (std::int64_t size : shape) fits = fits && size >= 0;
  if (!fits || numel(shape) != x.numel())
    fail<ShapeError>("reshape: {} elements do not fit shape {}\n  x  {}", x.numel(), to_string(wanted), describe(x));
  if (shape == x.shape()) return x;
  const auto rule = [from = x.shape()](const Tensor& gy) { return reshape(gy, from); };
  Strides strides;
  if (strides_for(x, shape, &strides)) return on_tape("reshape", x, x.as_strided(shape, strides, x.offset()), rule);
  Tensor copy = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  run_anywhere("reshape.copy", {x, copy}, [&] { copy.copy_(x.detach()); });
  return on_tape("reshape", x, copy.as_strided(shape, dense_strides(shape, Format::contiguous), 0), rule);
}

Tensor flatten(const Tensor& x, std::int64_t start, std::int64_t end) {
  if (x.rank() == 0) return reshape(x, {1});
  const int first = wrap_dim("flatten", start, x.rank()), last = wrap_dim("flatten", end, x.rank());
  check<ShapeError>(first <= last, "flatten: start {} is after end {}", start, end);
  Shape shape;
  for (int d = 0; d < x.rank(); ++d) {
    if (d <= first || d > last)
      shape.push_back(x.shape()[d]);
    else
      shape[first] *= x.shape()[d];
  }
  return reshape(x, shape);
}

Tensor transpose(const Tensor& x, std::int64_t a, std::int64_t b) {
  const int i = wrap_dim("transpose", a, x.rank()), j = wrap_dim("transpose", b, x.rank());
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[i], shape[j]);
  std::swap(strides[i], strides[j]);
  return on_tape("transpose", x, x.as_strided(shape, strides, x.offset()),
                 [i, j](const Tensor& gy) { return transpose(gy, i, j); });
}

Tensor permute(const Tensor& x, const Dims& dims) {
  if (dims.size() != x.rank())
    fail<ShapeError>("permute: {} dims for {} dimensions\n  x  {}", dims.size(), x.rank(), describe(x));
  Shape shape;
  Strides strides;
  Dims inverse = Dims::filled(x.rank(), 0);
  std::bitset<kMaxRank> used;
  for (int i = 0; i < x.rank(); ++i) {
    const int d = wrap_dim("permute", dims[i], x.rank());
    if (used[static_cast<std::size_t>(d)]) fail<ShapeError>("permute: dim {} appears twice in {}", d, to_string(dims));
    used.set(static_cast<std::size_t>(d));
    shape.push_back(x.shape()[d]);
    strides.push_back(x.strides()[d]);
    inverse[d] = i;
  }
  return on_tape("permute", x, x.as_strided(shape, strides, x.offset()),
                 [inverse](const Tensor& gy) { return permute(gy, inverse); });
}

Tensor narrow(const Tensor& x, std::int64_t dim, std::int64_t start, std::int64_t length) {
  const int d = wrap_dim("narrow", dim, x.rank());
  if (start < 0 || length < 0 || start + length > x.shape()[d])
    fail<ShapeError>("narrow: elements {} to {} of dim {}, which has {}\n  x  {}", start, start + length, d,
                     x.shape()[d], describe(x));
  Window w = whole(x);
  w.start[d] = start;
  w.length[d] = length;
  return window_of(x, w);
}

Tensor slice(const Tensor& x, std::int64_t dim, std::int64_t start, std::int64_t end, std::int64_t step) {
  const int d = wrap_dim("slice", dim, x.rank());
  check(step >= 1, "slice: step {} is not positive", step);
  const std::int64_t size = x.shape()[d];
  const auto clip = [size](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size); };
  Window w = whole(x);
  w.start[d] = clip(start);
  w.step[d] = step;
  w.length[d] = std::max<std::int64_t>(0, (clip(end) - w.start[d] + step - 1) / step);
  return window_of(x, w);
}

Tensor select(const Tensor& x, std::int64_t dim, std::int64_t index) {
  const int d = wrap_dim("select", dim, x.rank());
  const std::int64_t size = x.shape()[d], i = index < 0 ? index + size : index;
  check<ShapeError>(i >= 0 && i < size, "select: index {} is out of range for dim {} of size {}", index, d, size);
  return squeeze(narrow(x, d, i, 1), d);
}

Tensor expand(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  Strides strides = Strides::filled(shape.size(), 0);
  const int lead = shape.size() - x.rank();
  bool fits = lead >= 0;

  for (int d = 0; fits && d < shape.size(); ++d) {
    if (d < lead) {
      fits = shape[d] >= 0;
      continue;
    }
    const std::int64_t size = x.shape()[d - lead];
    if (shape[d] == -1) shape[d] = size;
    fits = shape[d] == size || size == 1;
    if (shape[d] == size) strides[d] = x.strides()[d - lead];
  }
  if (!fits) fail<ShapeError>("expand: cannot be expanded to {}\n  x  {}", to_string(wanted), describe(x));
  return on_tape("expand", x, x.as_strided(shape, strides, x.offset()),
                 [from = x.shape()](const Tensor& gy) { return sum_to(gy, from); });
}

Tensor squeeze(const Tensor& x, std::int64_t dim) {
  const int d = wrap_dim("squeeze", dim, x.rank());
  if (x.shape()[d] != 1) return x;
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(d);
  strides.erase(d);
  return on_tape("squeeze", x, x.as_strided(shape, strides, x.offset()),
                 [d](const Tensor& gy) { return unsqueeze(gy, d); });
}

Tensor squeeze(const Tensor& x) {
  Tensor y = x;
  for (int d = x.rank() - 1; d >= 0; --d) y = squeeze(y, d);
  return y;
}

Tensor unsqueeze(const Tensor& x, std::int64_t dim) {
  const int d = wrap_dim("unsqueeze", dim, x.rank() + 1);
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.insert(d, 1);
  strides.insert(d, d < x.rank() ? x.strides()[d] * x.shape()[d] : 1);
  return on_tape("unsqueeze", x, x.as_strided(shape, strides, x.offset()),
                 [d](const Tensor& gy) { return squeeze(gy, d); });
}

Tensor contiguous(const Tensor& x, Format format) {
  if (x.rank() != 4) format = Format::contiguous;
  if (x.is_contiguous(format)) return x;
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = format});
  run_anywhere("contiguous", {x, y}, [&] { y.copy_(x.detach()); });
  return on_tape("contiguous", x, y, [](const Tensor& gy) { return gy; });
}

Tensor to(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = empty(x.shape(), {.dtype = dtype, .device = x.device(), .format = x.format()});
  run_anywhere("to", {x, y}, [&] { y.copy_(x.detach()); });
  if (!is_floating(dtype)) return y;
  return on_tape("to", x, y, [from = x.dtype()](const Tensor& gy) { return to(gy, from); });
}

Tensor to(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = device, .format = x.format()});
  if (!y.is_meta()) y.copy_(x.detach());
  return on_tape("to", x, y, [from = x.device()](const Tensor& gy) { return to(gy, from); });
}

Tensor flip(const Tensor& x, std::int64_t dim) {
  const int d = wrap_dim("flip", dim, x.rank());
  Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = x.format()});
  if (x.numel() > 0) {
    Strides strides = x.strides();
    strides[d] = -strides[d];
    const std::int64_t last = x.offset() + (x.shape()[d] - 1) * x.strides()[d];
    run_anywhere("flip", {x, y}, [&] { y.copy_(x.as_strided(x.shape(), strides, last)); });
  }
  return on_tape("flip", x, y, [d](const Tensor& gy) { return flip(gy, d); });
}

}  // namespace gradus
