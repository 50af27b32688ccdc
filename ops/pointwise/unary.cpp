#include "ops/pointwise/unary.hpp"

#include "autograd/node.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/pointwise/pointwise_kernels.hpp"
#include "ops/run.hpp"

namespace gradus {
namespace {

constexpr const char* kNames[] = {
#define GRADUS_ENTRY(Type, name) name,
    GRADUS_UNARY_OPS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
};
constexpr const char* kGradNames[] = {
#define GRADUS_ENTRY(Type, name) name ".backward",
    GRADUS_UNARY_OPS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
};
constexpr Keeps kKeeps[] = {
#define GRADUS_ENTRY(Type, name) unary::Type::keeps,
    GRADUS_UNARY_OPS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
};

/// In the CPU's table.
int dtype_index(const char* op, const Tensor& x) {
  check_number(op, x);
  return x.dtype() == DType::f64 ? 1 : 0;
}

/// The derivative as operators, for gradients of gradients: `k` is what was kept.
Tensor derivative(Unary op, const Tensor& k, UnaryParams p) {
  const Tensor zero = zeros({}, {.dtype = k.dtype(), .device = k.device()});
  switch (op) {
    case Unary::Exp: return k;
    case Unary::Log: return pow(k, -1);
    case Unary::Sqrt: return affine(pow(k, -1), 0.5, 0);
    case Unary::Square: return affine(k, 2, 0);
    case Unary::Pow: return affine(pow(k, p.a - 1), p.a, 0);
    case Unary::Abs: return greater(k, zero) - greater(zero, k);
    case Unary::Clamp: {
      const TensorOptions like{.dtype = k.dtype(), .device = k.device()};
      return (1 - greater(k, full({}, p.b, like))) * (1 - greater(full({}, p.a, like), k));
    }
    case Unary::Relu: return greater(k, zero);
    case Unary::LeakyRelu: return affine(greater(k, zero), 1 - p.a, p.a);
    case Unary::Sigmoid: return k * (1 - k);
    case Unary::Tanh: return 1 - square(k);
    case Unary::Affine:
    case Unary::count: break;
  }
  fail<GraphError>("unary: no derivative");
}

struct UnaryNode final : Node {
  Unary op = Unary::count;
  UnaryParams params;
  Saved kept;

  const char* name() const override { return kNames[static_cast<int>(op)]; }
  std::int64_t saved_bytes() const override { return kept.bytes(); }
  void release() override { kept.reset(); }

  Grads backward(const Tensor& gy) override {
    if (op == Unary::Affine) return {affine(gy, params.a, 0)};
    const Tensor k = kept.get(*this);
    if (grad_enabled()) return {gy * derivative(op, k, params)};
    Tensor gx = empty_like(k);
    const StridedLoop<3> loop(gx.shape(), {&gx.strides(), &gy.strides(), &k.strides()});
    const UnaryGradRun p{&loop, gy.data_ptr(), k.data_ptr(), gx.data_ptr(), params};
    const int index = static_cast<int>(op), dtype_at = dtype_index(name(), gy);
    run(
        kGradNames[index], {gy, k, gx}, [&] { pointwise_simd().unary_grad[index][dtype_at](p); },
        [&] {
          cuda::unary_grad().run({op, gy.dtype(), p});
        });
    return {gx};
  }
};

Tensor apply(Unary op, const Tensor& x, UnaryParams params = {}) {
  const int index = static_cast<int>(op);
  const int dtype = dtype_index(kNames[index], x);
  Tensor y = empty_like(x);
  const StridedLoop<2> loop(y.shape(), {&y.strides(), &x.strides()});
  const UnaryRun p{&loop, x.data_ptr(), y.data_ptr(), params};
  run(
      kNames[index], {x, y}, [&] { pointwise_simd().unary[index][dtype](p); },
      [&] {
        cuda::unary().run({op, x.dtype(), p});
      });
  if (recording({x})) {
    auto node = std::make_shared<UnaryNode>();
    node->op = op;
    node->params = params;
    if (kKeeps[index] == Keeps::input) node->kept = x;
    if (kKeeps[index] == Keeps::output) node->kept = Saved::output(y);
    attach(y, std::move(node), {x});
  }
  return y;
}

}  // namespace

Tensor affine(const Tensor& x, double scale, double shift) { return apply(Unary::Affine, x, {scale, shift}); }
Tensor neg(const Tensor& x) {
  check_number("neg", x);
  return affine(x, -1, 0);
}
Tensor exp(const Tensor& x) { return apply(Unary::Exp, x); }
Tensor log(const Tensor& x) { return apply(Unary::Log, x); }
Tensor sqrt(const Tensor& x) { return apply(Unary::Sqrt, x); }
Tensor rsqrt(const Tensor& x) { return pow(x, -0.5); }
Tensor square(const Tensor& x) { return apply(Unary::Square, x); }
Tensor pow(const Tensor& x, double exponent) { return apply(Unary::Pow, x, {exponent, 0}); }
Tensor abs(const Tensor& x) { return apply(Unary::Abs, x); }
Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: low {} is above high {}", low, high);
  return apply(Unary::Clamp, x, {low, high});
}
Tensor relu(const Tensor& x) { return apply(Unary::Relu, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return apply(Unary::LeakyRelu, x, {slope, 0}); }
Tensor sigmoid(const Tensor& x) { return apply(Unary::Sigmoid, x); }
Tensor tanh(const Tensor& x) { return apply(Unary::Tanh, x); }

}  // namespace gradus
