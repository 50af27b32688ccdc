// The kernels are matmul's (ops/matmul): a matrix product with the bias in the result beforehand.

#include "ops/linear/linear.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/matmul/matmul.hpp"
#include "ops/matmul/matmul_kernels.hpp"
#include "ops/number.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

/// x and gy are matrices here.  gx = gy W,  gW = gy^T x,  gb = sum of gy's rows.
struct LinearNode final : Node {
  Saved x, weight;
  const char* name() const override { return "linear"; }
  std::int64_t saved_bytes() const override { return x.bytes() + weight.bytes(); }
  void release() override {
    x.reset();
    weight.reset();
  }
  Grads backward(const Tensor& gy) override {
    Grads g(inputs.size());
    if (needs(0)) g[0] = matmul(gy, weight.get(*this));
    if (needs(1)) g[1] = matmul(transpose(gy, 0, 1), x.get(*this));
    if (inputs.size() > 2 && needs(2)) g[2] = sum(gy, {0});
    return g;
  }
};

}  // namespace

Tensor linear(const Tensor& x_any, const Tensor& weight_any, const Tensor& bias_any) {
  const Tensor x = lowered(x_any), weight = lowered(weight_any), bias = lowered(bias_any);
  const auto operands = [&] { return describe({{"x", &x}, {"weight", &weight}, {"bias", &bias}}); };
  check_same_device("linear", {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  check_same_dtype("linear", {{"x", &x}, {"weight", &weight}, {"bias", &bias}});
  check_number("linear", x);
  if (weight.rank() != 2) fail<ShapeError>("linear: the weight is [out, in]\n{}", operands());
  if (x.rank() < 1 || x.size(-1) != weight.size(1))
    fail<ShapeError>("linear: weight reads {} features, x has {}\n{}", weight.size(1), x.rank() ? x.size(-1) : 0,
                     operands());
  if (bias.defined() && bias.shape() != Shape{weight.size(0)})
    fail<ShapeError>("linear: weight gives {} features, bias has another number\n{}", weight.size(0), operands());
  if (x.rank() != 2) {
    Shape shape = x.shape();
    shape[x.rank() - 1] = weight.size(0);
    std::int64_t rows = 1;
    for (int d = 0; d + 1 < x.rank(); ++d) rows *= x.shape()[d];
    return reshape(linear(reshape(x, {rows, x.size(-1)}), weight, bias), shape);
  }

  const Tensor y = empty({x.size(0), weight.size(0)}, {.dtype = x.dtype(), .device = x.device()});
  const auto readable = [](const Tensor& t, std::int64_t rows, std::int64_t columns, int row, int column) {
    return blas_reads(rows, columns, t.strides()[row], t.strides()[column]) ? t : t.clone(Format::contiguous);
  };
  const Tensor a = readable(x, x.size(0), x.size(1), 0, 1);
  const Tensor b = readable(weight, weight.size(1), weight.size(0), 1, 0);
  const Tensor c = bias.defined() ? dense(bias, Format::contiguous) : bias;
  MatmulProblem p{};
  p.dtype = x.dtype();
  p.m = y.size(0), p.n = y.size(1), p.k = x.size(1);
  p.a_row = a.strides()[0], p.a_column = a.strides()[1];
  p.b_row = b.strides()[1], p.b_column = b.strides()[0];
  p.a = a.data_ptr(), p.b = b.data_ptr(), p.y = y.data_ptr();
  p.bias = c.defined() ? c.data_ptr() : nullptr;
  run(
      "linear", {x, weight, bias, y}, [&] { cpu::matmul().run(p); }, [&] { cuda::matmul().run(p); });
  if (recording({x, weight, bias})) {
    auto node = std::make_shared<LinearNode>();
    if (weight.requires_grad()) node->x = x;
    if (x.requires_grad()) node->weight = weight;
    if (bias.defined())
      attach(y, std::move(node), {x, weight, bias});
    else
      attach(y, std::move(node), {x, weight});
  }
  return y;
}

}  // namespace gradus
