#include "ops/reduce/reduce.hpp"

#include <bitset>
#include <cmath>
#include <limits>

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/index/index.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce_kernels.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// Which dims of x go, and the result's shape with and without them.
struct ReducedDims {
  std::bitset<kMaxRank> reduced;
  Shape kept;              // reduced dims have size 1
  Shape squeezed;          // reduced dims are gone
  std::int64_t count = 1;  // elements that make one

  bool operator[](int d) const { return reduced[static_cast<std::size_t>(d)]; }

  ReducedDims(const char* op, const Tensor& x, const Dims& dims) {
    for (std::int64_t dim : dims) {
      const int d = wrap_dim(op, dim, x.rank());
      if ((*this)[d]) fail<ShapeError>("{}: dim {} appears twice in {}\n  x  {}", op, d, to_string(dims), describe(x));
      reduced.set(static_cast<std::size_t>(d));
    }
    if (dims.empty()) reduced.set();
    for (int d = 0; d < x.rank(); ++d) {
      kept.push_back((*this)[d] ? 1 : x.shape()[d]);
      if ((*this)[d])
        count *= x.shape()[d];
      else
        squeezed.push_back(x.shape()[d]);
    }
  }
};

/// Strides of a dense tensor of that shape whose dims lie in memory in the order of x's.
Strides strides_in_order_of(const Tensor& x, const Shape& shape) {
  Dims order;
  for (int d = 0; d < x.rank(); ++d) {
    int at = order.size();
    while (at > 0 && x.strides()[static_cast<int>(order[at - 1])] < x.strides()[d]) --at;
    order.insert(at, d);
  }
  Strides strides = Strides::filled(shape.size(), 1);
  std::int64_t step = 1;
  for (int i = order.size() - 1; i >= 0; --i) {
    strides[static_cast<int>(order[i])] = step;
    step *= std::max<std::int64_t>(shape[static_cast<int>(order[i])], 1);
  }
  return strides;
}

/// y, computed with reduced dims of size 1, in the shape that was asked for.
Tensor finish(const Tensor& y, const ReducedDims& r, bool keepdim) {
  if (keepdim) return y;
  Strides strides;
  for (int d = 0; d < y.rank(); ++d)
    if (!r[d]) strides.push_back(y.strides()[d]);
  return y.as_strided(r.squeezed, strides, y.offset());
}

struct SumNode final : Node {
  Shape kept;
  const char* name() const override { return "sum"; }
  Grads backward(const Tensor& gy) override { return {expand(reshape(gy, kept), inputs[0].shape)}; }
  void release() override {}
};

/// max or min: the gradient goes to the elements equal to the extreme, in equal shares.
struct ExtremeNode final : Node {
  bool largest = true;
  Dims dims;
  Shape kept;
  Saved x, y;
  const char* name() const override { return largest ? "max" : "min"; }
  std::int64_t saved_bytes() const override { return x.bytes() + y.bytes(); }
  void release() override {
    x.reset();
    y.reset();
  }
  Grads backward(const Tensor& gy) override {
    Tensor share;
    {
      const NoGrad constant;
      const Tensor mask = equal(x.get(*this), reshape(y.get(*this), kept));
      share = mask / sum(mask, dims, true);
    }
    return {reshape(gy, kept) * share};
  }
};

struct VarNode final : Node {
  Dims dims;
  Shape kept;
  double divisor = 1;
  Saved x;
  const char* name() const override { return "var"; }
  std::int64_t saved_bytes() const override { return x.bytes(); }
  void release() override { x.reset(); }
  Grads backward(const Tensor& gy) override {
    const Tensor input = x.get(*this);
    return {reshape(gy, kept) * affine(input - mean(input, dims, true), 2 / divisor, 0)};
  }
};

ExtremeProblem extreme_problem(bool largest, const Tensor& x, const ReducedDims& r) {
  ExtremeProblem p{largest, x.dtype(), {}, {}, {}, {}, x.data_ptr(), nullptr, nullptr};
  for (int d = 0; d < x.rank(); ++d) {
    (r[d] ? p.reduced : p.kept).push_back(x.shape()[d]);
    (r[d] ? p.reduced_strides : p.kept_strides).push_back(x.strides()[d]);
  }
  return p;
}

void check_extreme(const char* op, const Tensor& x, const ReducedDims& r) {
  check_number(op, x);
  if (r.count <= 0) fail<ShapeError>("{}: of no elements\n  x  {}", op, describe(x));
}

Tensor extreme(bool largest, const Tensor& x, const Dims& dims, bool keepdim) {
  const char* op = largest ? "max" : "min";
  const ReducedDims r(op, x, dims);
  check_extreme(op, x, r);
  Tensor y = empty(r.kept, {.dtype = x.dtype(), .device = x.device()});
  ExtremeProblem p = extreme_problem(largest, x, r);
  p.values = y.data_ptr();
  run(
      op, {x, y}, [&] { cpu::extreme(p); }, [&] { cuda::extreme().run(p); });
  y = finish(y, r, keepdim);
  if (recording({x})) {
    auto node = std::make_shared<ExtremeNode>();
    node->largest = largest;
    for (int d = 0; d < x.rank(); ++d)
      if (r[d]) node->dims.push_back(d);
    node->kept = r.kept;
    node->x = x;
    node->y = Saved::output(y);
    attach(y, std::move(node), {x});
  }
  return y;
}

Tensor arg_extreme(bool largest, const Tensor& x, const Dims& dims, bool keepdim) {
  const char* op = largest ? "argmax" : "argmin";
  const ReducedDims r(op, x, dims);
  check_extreme(op, x, r);
  const Tensor y = empty(r.kept, {.dtype = DType::i64, .device = x.device()});
  ExtremeProblem p = extreme_problem(largest, x, r);
  p.positions = y.data<std::int64_t>();
  run(
      op, {x, y}, [&] { cpu::extreme(p); }, [&] { cuda::extreme().run(p); });
  return finish(y, r, keepdim);
}

Extremes with_indices(bool largest, const Tensor& x, std::int64_t dim, bool keepdim) {
  const Tensor indices = arg_extreme(largest, x, {dim}, true);
  const Tensor values = gather(x, dim, indices);
  if (keepdim) return {values, indices};
  return {squeeze(values, dim), squeeze(indices, dim)};
}

}  // namespace

Tensor sum(const Tensor& x, const Dims& dims, bool keepdim) {
  const ReducedDims r("sum", x, dims);
  check_number("sum", x);
  Tensor y = empty(r.kept, {.dtype = x.dtype(), .device = x.device()});
  y = y.as_strided(r.kept, strides_in_order_of(x, r.kept), 0);
  SumProblem p{x.dtype(), x.shape(), x.strides(), y.strides(), y.numel(), x.data_ptr(), y.data_ptr()};
  for (int d = 0; d < x.rank(); ++d)
    if (r[d]) p.y_strides[d] = 0;
  run(
      "sum", {x, y}, [&] { cpu::sum().run(p); }, [&] { cuda::sum().run(p); });
  y = finish(y, r, keepdim);
  if (recording({x})) {
    auto node = std::make_shared<SumNode>();
    node->kept = r.kept;
    attach(y, std::move(node), {x});
  }
  return y;
}

Tensor mean(const Tensor& x, const Dims& dims, bool keepdim) {
  check_number("mean", x);
  const ReducedDims r("mean", x, dims);
  if (r.count <= 0) fail<ShapeError>("mean: of no elements\n  x  {}", describe(x));
  return affine(sum(x, dims, keepdim), 1 / static_cast<double>(r.count), 0);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.rank() - shape.size();
  bool fits = lead >= 0;
  Dims dims;
  for (int d = 0; fits && d < x.rank(); ++d) {
    fits = d < lead || shape[d - lead] == 1 || shape[d - lead] == x.shape()[d];
    if (d < lead || (fits && shape[d - lead] == 1 && x.shape()[d] != 1)) dims.push_back(d);
  }
  if (!fits) fail<ShapeError>("sum_to: {} does not broadcast to x's shape\n  x  {}", to_string(shape), describe(x));
  return reshape(dims.empty() ? x : sum(x, dims, true), shape);
}

Tensor max(const Tensor& x, const Dims& dims, bool keepdim) { return extreme(true, x, dims, keepdim); }
Tensor min(const Tensor& x, const Dims& dims, bool keepdim) { return extreme(false, x, dims, keepdim); }
Tensor argmax(const Tensor& x, std::int64_t dim, bool keepdim) { return arg_extreme(true, x, {dim}, keepdim); }
Tensor argmin(const Tensor& x, std::int64_t dim, bool keepdim) { return arg_extreme(false, x, {dim}, keepdim); }
Tensor argmax(const Tensor& x) { return arg_extreme(true, x, {}, false); }
Tensor argmin(const Tensor& x) { return arg_extreme(false, x, {}, false); }
Extremes max_with_indices(const Tensor& x, std::int64_t dim, bool keepdim) {
  return with_indices(true, x, dim, keepdim);
}
Extremes min_with_indices(const Tensor& x, std::int64_t dim, bool keepdim) {
  return with_indices(false, x, dim, keepdim);
}

Tensor var(const Tensor& x_any, const Dims& dims, const VarOptions& options) {
  const Tensor x = raised(x_any);
  const ReducedDims r("var", x, dims);
  check_number("var", x);
  if (r.count <= 0) fail<ShapeError>("var: of no elements\n  x  {}", describe(x));
  const auto count = static_cast<double>(r.count);
  const double divisor = options.unbiased ? count - 1 : count;
  Tensor y;
  {
    const NoGrad one_node;
    // Infinite times zero deviation is the NaN that one element has for an unbiased variance.
    const double scale = divisor > 0 ? 1 / divisor : std::numeric_limits<double>::quiet_NaN();
    y = affine(sum(square(x - mean(x, dims, true)), dims, options.keepdim), scale, 0);
  }
  if (recording({x})) {
    auto node = std::make_shared<VarNode>();
    for (int d = 0; d < x.rank(); ++d)
      if (r[d]) node->dims.push_back(d);
    node->kept = r.kept;
    node->divisor = divisor;
    node->x = x;
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace gradus
