#include "ops/matmul/matmul.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/matmul/matmul_kernels.hpp"
#include "ops/number.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

Tensor product(const Tensor& a, const Tensor& b);

/// y = a b:  ga = gy b^T,  gb = a^T gy, summed over the dims along which an operand was broadcast.
struct MatmulNode final : Node {
  Saved a, b;
  const char* name() const override { return "matmul"; }
  std::int64_t saved_bytes() const override { return a.bytes() + b.bytes(); }
  void release() override {
    a.reset();
    b.reset();
  }
  Grads backward(const Tensor& gy) override {
    Grads g(2);
    if (needs(0)) g[0] = sum_to(product(gy, transpose(b.get(*this), -1, -2)), inputs[0].shape);
    if (needs(1)) g[1] = sum_to(product(transpose(a.get(*this), -1, -2), gy), inputs[1].shape);
    return g;
  }
};

/// x in memory that BLAS can read: itself, or a dense copy of an expanded or doubly strided one.
Tensor readable(const Tensor& x) {
  const int r = x.rank();
  if (blas_reads(x.shape()[r - 2], x.shape()[r - 1], x.strides()[r - 2], x.strides()[r - 1])) return x;
  return x.clone(Format::contiguous);
}

/// a and b have two dims at least, and fit.
Tensor product(const Tensor& a, const Tensor& b) {
  const auto leading = [](const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); };
  const Shape batch = broadcast_shapes("matmul", leading(a), leading(b));
  MatmulProblem p{};
  p.dtype = a.dtype();
  p.m = a.size(-2), p.k = a.size(-1), p.n = b.size(-1);
  p.batch = batch;
  Shape shape = batch;
  shape.push_back(p.m);
  shape.push_back(p.n);
  const Tensor y = empty(shape, {.dtype = a.dtype(), .device = a.device()});
  const Tensor left = readable(a), right = readable(b);
  const auto strides_of = [&](const Tensor& x) {
    Strides strides = Strides::filled(batch.size(), 0);
    for (int d = 0; d < x.rank() - 2; ++d)
      if (x.shape()[d] != 1) strides[batch.size() - (x.rank() - 2) + d] = x.strides()[d];
    return strides;
  };
  p.a_batch = strides_of(left), p.b_batch = strides_of(right), p.y_batch = strides_of(y);
  p.a_row = left.strides()[left.rank() - 2], p.a_column = left.strides()[left.rank() - 1];
  p.b_row = right.strides()[right.rank() - 2], p.b_column = right.strides()[right.rank() - 1];
  p.a = left.data_ptr(), p.b = right.data_ptr(), p.y = y.data_ptr();
  run(
      "matmul", {a, b, y}, [&] { cpu::matmul().run(p); }, [&] { cuda::matmul().run(p); });
  if (recording({a, b})) {
    auto node = std::make_shared<MatmulNode>();
    if (b.requires_grad()) node->a = a;  // a factor is kept for the other's gradient
    if (a.requires_grad()) node->b = b;
    attach(y, std::move(node), {a, b});
  }
  return y;
}

}  // namespace

Tensor matmul(const Tensor& a_any, const Tensor& b_any) {
  const Tensor a = lowered(a_any), b = lowered(b_any);
  check_same_device("matmul", {{"a", &a}, {"b", &b}});
  check_same_dtype("matmul", {{"a", &a}, {"b", &b}});
  check_number("matmul", a);
  if (a.rank() < 1 || b.rank() < 1)
    fail<ShapeError>("matmul: a scalar is no matrix (use *)\n{}", describe({{"a", &a}, {"b", &b}}));
  const std::int64_t depth = b.size(b.rank() == 1 ? 0 : -2);
  if (a.size(-1) != depth)
    fail<ShapeError>("matmul: a has {} columns, b has {} rows\n{}", a.size(-1), depth,
                     describe({{"a", &a}, {"b", &b}}));
  if (a.rank() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.rank() == 1 ? 0 : -2);
  if (b.rank() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  if (a.rank() == 2 || b.rank() > 2) return product(a, b);
  // A batch times one matrix is one product with more rows, and so are its gradients.
  Shape shape = a.shape();
  shape[a.rank() - 1] = b.size(1);
  std::int64_t rows = 1;
  for (int d = 0; d < a.rank() - 1; ++d) rows *= a.shape()[d];
  return reshape(product(reshape(a, {rows, a.size(-1)}), b), shape);
}

}  // namespace gradus
