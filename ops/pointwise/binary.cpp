#include "ops/pointwise/binary.hpp"

#include "autograd/node.hpp"
#include "ops/autocast.hpp"
#include "ops/number.hpp"
#include "ops/pointwise/pointwise_kernels.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/run.hpp"

namespace gradus {
namespace {

constexpr const char* kNames[] = {
#define GRADUS_ENTRY(Type, name) name,
    GRADUS_BINARY_OPS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
};

/// Each rule gives the gradients of the broadcast operands; they are then summed down to the operands' own shapes.
struct BinaryNode final : Node {
  Binary op = Binary::count;
  Saved a, b;

  const char* name() const override { return kNames[static_cast<int>(op)]; }
  std::int64_t saved_bytes() const override { return a.bytes() + b.bytes(); }
  void release() override {
    a.reset();
    b.reset();
  }

  Grads backward(const Tensor& gy) override {
    const auto to_a = [&](const Tensor& g) { return sum_to(g, inputs[0].shape); };
    const auto to_b = [&](const Tensor& g) { return sum_to(g, inputs[1].shape); };
    Grads g(2);
    switch (op) {
      case Binary::Add:
        if (needs(0)) g[0] = to_a(gy);
        if (needs(1)) g[1] = to_b(gy);
        break;
      case Binary::Sub:
        if (needs(0)) g[0] = to_a(gy);
        if (needs(1)) g[1] = to_b(neg(gy));
        break;
      case Binary::Mul:
        if (needs(0)) g[0] = to_a(gy * b.get(*this));
        if (needs(1)) g[1] = to_b(gy * a.get(*this));
        break;
      case Binary::Div: {
        const Tensor divisor = b.get(*this);
        if (needs(0)) g[0] = to_a(gy / divisor);
        if (needs(1)) g[1] = to_b(neg(gy * a.get(*this) / square(divisor)));
        break;
      }
      case Binary::Maximum:
      case Binary::Minimum: {
        const Tensor x = a.get(*this), y = b.get(*this);
        const bool larger = op == Binary::Maximum;
        const Tensor half_tie = affine(equal(x, y), 0.5, 0);
        if (needs(0)) g[0] = to_a(gy * ((larger ? greater(x, y) : greater(y, x)) + half_tie));
        if (needs(1)) g[1] = to_b(gy * ((larger ? greater(y, x) : greater(x, y)) + half_tie));
        break;
      }
      case Binary::Greater:
      case Binary::Equal:
      case Binary::count: break;
    }
    return g;
  }
};

Tensor apply(Binary op, Tensor a, Tensor b) {
  promote(a, b);
  const int index = static_cast<int>(op);
  const char* name = kNames[index];
  check_same_device(name, {{"a", &a}, {"b", &b}});
  check_same_dtype(name, {{"a", &a}, {"b", &b}});
  check_number(name, a);
  const int dtype = a.dtype() == DType::f64 ? 1 : 0;  // of the CPU's table
  const Shape shape = broadcast_shapes(name, a.shape(), b.shape());
  Tensor y = a.shape() == shape   ? empty_like(a)
             : b.shape() == shape ? empty_like(b)
                                  : empty(shape, {.dtype = a.dtype(), .device = a.device()});
  const auto widened = [&](const Tensor& x) {  // 0 along broadcast dims
    Strides strides = Strides::filled(shape.size(), 0);
    const int lead = shape.size() - x.rank();
    for (int d = 0; d < x.rank(); ++d)
      if (x.shape()[d] != 1) strides[lead + d] = x.strides()[d];
    return strides;
  };
  const Strides sa = widened(a), sb = widened(b);
  const StridedLoop<3> loop(shape, {&y.strides(), &sa, &sb});
  const BinaryRun p{&loop, a.data_ptr(), b.data_ptr(), y.data_ptr()};
  run(
      name, {a, b, y}, [&] { pointwise_simd().binary[index][dtype](p); },
      [&] {
        cuda::binary().run({op, a.dtype(), p});
      });
  const bool has_gradient = op != Binary::Greater && op != Binary::Equal;
  if (has_gradient && recording({a, b})) {
    auto node = std::make_shared<BinaryNode>();
    node->op = op;
    const bool linear = op == Binary::Add || op == Binary::Sub, product = op == Binary::Mul;
    if (!linear && (!product || b.requires_grad())) node->a = a;  // a product's factor is kept for the other's gradient
    if (!linear && (!product || a.requires_grad())) node->b = b;
    attach(y, std::move(node), {a, b});
  }
  return y;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return apply(Binary::Add, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply(Binary::Sub, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply(Binary::Mul, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return apply(Binary::Div, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply(Binary::Maximum, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply(Binary::Minimum, a, b); }
Tensor greater(const Tensor& a, const Tensor& b) { return apply(Binary::Greater, a, b); }
Tensor equal(const Tensor& a, const Tensor& b) { return apply(Binary::Equal, a, b); }

}  // namespace gradus
