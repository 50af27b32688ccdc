#include "ops/index/index.hpp"

#include <algorithm>

#include "autograd/node.hpp"
#include "ops/index/index_kernels.hpp"
#include "ops/number.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

struct GatherNode final : Node {
  int dim = 0;
  Tensor index;
  const char* name() const override { return "gather"; }
  std::int64_t saved_bytes() const override { return index.defined() ? index.bytes() : 0; }
  void release() override { index = Tensor(); }
  Grads backward(const Tensor& gy) override { return {scatter_add(inputs[0].shape, dim, index, gy)}; }
};

struct ScatterAddNode final : Node {
  int dim = 0;
  Tensor index;
  const char* name() const override { return "scatter_add"; }
  std::int64_t saved_bytes() const override { return index.defined() ? index.bytes() : 0; }
  void release() override { index = Tensor(); }
  Grads backward(const Tensor& gy) override { return {gather(gy, dim, index)}; }
};

/// Shapes, dtypes and devices; then every index. `large` is the side that is indexed.
void check_index(const char* op, const Shape& large, int dim, const Tensor& index, const Tensor& x) {
  check_number(op, x);
  if (index.dtype() != DType::i64)
    fail<DTypeError>("{}: indices are i64, got {}\n{}", op, dtype_name(index.dtype()),
                     describe({{"x", &x}, {"index", &index}}));
  check_same_device(op, {{"x", &x}, {"index", &index}});
  bool fits = index.rank() == large.size();
  for (int d = 0; fits && d < large.size(); ++d) fits = d == dim || index.shape()[d] <= large[d];
  if (!fits)
    fail<ShapeError>("{}: an index of shape {} does not fit {} along dim {}\n{}", op, to_string(index.shape()),
                     to_string(large), dim, describe({{"x", &x}, {"index", &index}}));
  if (index.is_meta()) return;
  Shape shape = index.shape();  // what an expanded index repeats is looked at once
  for (int d = 0; d < index.rank(); ++d)
    if (index.strides()[d] == 0 && shape[d] > 1) shape[d] = 1;
  const Tensor once = index.as_strided(shape, index.strides(), index.offset());
  const Tensor host = index.device() == kCpu ? once : empty(shape, {.dtype = DType::i64}).copy_(once);
  const Strides& steps = host.strides();
  Dims at = Dims::filled(index.rank(), 0);
  const auto* values = host.data<std::int64_t>();
  for (std::int64_t i = 0; i < numel(shape); ++i) {
    std::int64_t offset = 0;
    for (int d = 0; d < index.rank(); ++d) offset += at[d] * steps[d];
    if (values[offset] < 0 || values[offset] >= large[dim])
      fail("{}: index {} at {} is out of range for dim {} of size {}\n{}", op, values[offset], to_string(at), dim,
           large[dim], describe({{"x", &x}, {"index", &index}}));
    for (int d = index.rank() - 1; d >= 0 && ++at[d] == shape[d]; --d) at[d] = 0;
  }
}

IndexProblem problem(int dim, const Tensor& index, const Tensor& large, const Tensor& small) {
  IndexProblem p{small.dtype(),        index.shape(),      large.strides(),      small.strides(),
                 index.strides(),      index.shape()[dim], large.strides()[dim], small.strides()[dim],
                 index.strides()[dim], large.data_ptr(),   small.data_ptr(),     index.data<std::int64_t>()};
  p.lanes.erase(dim);
  p.large_strides.erase(dim);
  p.small_strides.erase(dim);
  p.index_strides.erase(dim);
  return p;
}

Tensor gather_checked(const Tensor& x, int dim, const Tensor& index) {
  Tensor y = empty(index.shape(), {.dtype = x.dtype(), .device = x.device(), .format = x.format()});
  const IndexProblem p = problem(dim, index, x, y);
  run(
      "gather", {x, index, y}, [&] { cpu::gather().run(p); }, [&] { cuda::gather().run(p); });
  if (recording({x})) {
    auto node = std::make_shared<GatherNode>();
    node->dim = dim;
    node->index = index;
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace

Tensor gather(const Tensor& x, std::int64_t wanted, const Tensor& index) {
  const int dim = wrap_dim("gather", wanted, x.rank());
  check_index("gather", x.shape(), dim, index, x);
  return gather_checked(x, dim, index);
}

Tensor scatter_add(const Shape& shape, std::int64_t wanted, const Tensor& index, const Tensor& x) {
  const int dim = wrap_dim("scatter_add", wanted, shape.size());
  if (index.shape() != x.shape())
    fail<ShapeError>("scatter_add: index and x have different shapes\n{}", describe({{"x", &x}, {"index", &index}}));
  check_index("scatter_add", shape, dim, index, x);
  Tensor y = zeros(shape, {.dtype = x.dtype(), .device = x.device(), .format = x.format()});
  const IndexProblem p = problem(dim, index, y, x);
  run(
      "scatter_add", {x, index, y}, [&] { cpu::scatter_add().run(p); }, [&] { cuda::scatter_add().run(p); });
  if (recording({x})) {
    auto node = std::make_shared<ScatterAddNode>();
    node->dim = dim;
    node->index = index;
    attach(y, std::move(node), {x});
  }
  return y;
}

Tensor index_select(const Tensor& x, std::int64_t wanted, const Tensor& index) {
  const int dim = wrap_dim("index_select", wanted, x.rank());
  if (index.rank() != 1)
    fail<ShapeError>("index_select: the index has one dim\n{}", describe({{"x", &x}, {"index", &index}}));
  Shape line = Shape::filled(x.rank(), 1), shape = x.shape();
  line[dim] = shape[dim] = index.shape()[0];
  const Tensor along = reshape(index, line);
  Shape large = x.shape();  // along has 1 beside the indexed dim, which fits empty dims too
  for (int d = 0; d < large.size(); ++d)
    if (d != dim) large[d] = std::max<std::int64_t>(1, large[d]);
  check_index("index_select", large, dim, along, x);
  return gather_checked(x, dim, expand(along, shape));
}

}  // namespace gradus
