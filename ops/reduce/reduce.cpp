#include "ops/reduce/reduce.hpp"

#include <bitset>

#include "autograd/node.hpp"
#include "core/strided.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

struct SumNode final : Node {
  Shape kept;  // the result's shape with keepdim
  const char* name() const override { return "sum"; }
  Grads backward(const Tensor& gy) override { return {expand(reshape(gy, kept), inputs[0].shape)}; }
  void release() override {}
};

std::bitset<kMaxRank> reduced_dims(const char* op, const Tensor& x, const Dims& dims) {
  std::bitset<kMaxRank> reduced;
  for (std::int64_t dim : dims) {
    const auto d = static_cast<std::size_t>(wrap_dim(op, dim, x.rank()));
    check<ShapeError>(!reduced[d], "{}: dim {} appears twice in {}", op, d, to_string(dims));
    reduced.set(d);
  }
  if (dims.empty())
    for (int d = 0; d < x.rank(); ++d) reduced.set(static_cast<std::size_t>(d));
  return reduced;
}

}  // namespace

Tensor sum(const Tensor& x, const Dims& dims, bool keepdim) {
  const auto reduced = reduced_dims("sum", x, dims);
  Shape kept = x.shape(), squeezed;
  for (int d = 0; d < x.rank(); ++d) {
    if (reduced[static_cast<std::size_t>(d)])
      kept[d] = 1;
    else
      squeezed.push_back(x.shape()[d]);
  }
  Tensor y = zeros(kept, {.dtype = x.dtype(), .device = x.device()});
  dispatch_float("sum", x.dtype(), [&]<class T>(T) {
    run("sum", x.device(), [&] {
      Strides into = y.strides();
      for (int d = 0; d < x.rank(); ++d)
        if (reduced[static_cast<std::size_t>(d)]) into[d] = 0;
      std::vector<double> totals(static_cast<std::size_t>(y.numel()));
      const StridedLoop<2> loop(x.shape(), {&x.strides(), &into});
      const T* p = x.data<T>();
      if (loop.total > 0)
        for (std::int64_t row = 0; row < loop.total / loop.inner(); ++row) {
          const auto at = loop.offsets(row);
          for (std::int64_t i = 0; i < loop.inner(); ++i)
            totals[static_cast<std::size_t>(at[1] + i * loop.inner_stride(1))] += static_cast<double>(p[at[0] + i * loop.inner_stride(0)]);
        }
      for (std::size_t i = 0; i < totals.size(); ++i) y.data<T>()[i] = static_cast<T>(totals[i]);
    });
  });
  Tensor result = keepdim ? y : y.as_strided(squeezed, dense_strides(squeezed, Format::contiguous), 0);
  if (recording({x})) {
    auto node = std::make_shared<SumNode>();
    node->kept = kept;
    attach(result, std::move(node), {x});
  }
  return result;
}

Tensor mean(const Tensor& x, const Dims& dims, bool keepdim) {
  Tensor total = sum(x, dims, keepdim);
  check<ShapeError>(x.numel() > 0, "mean: of no elements\n  x  {}", describe(x));
  return affine(total, static_cast<double>(total.numel()) / static_cast<double>(x.numel()), 0);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.rank() - shape.size();
  Dims dims;
  for (int d = 0; d < x.rank(); ++d)
    if (d < lead || (shape[d - lead] == 1 && x.shape()[d] != 1)) dims.push_back(d);
  return reshape(dims.empty() ? x : sum(x, dims, true), shape);
}

}  // namespace gradus
