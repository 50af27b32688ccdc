// The loops of the pointwise operators: plain loops over runs that the compiler turns into vector code, one for
// operands that are contiguous along the run, one where a number is broadcast along it, one for any stride.

#include "ops/pointwise/pointwise_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

template <class Op, class T>
void unary(const UnaryRun& r) {
  const auto* x = static_cast<const T*>(r.x);
  auto* y = static_cast<T*>(r.y);
  const std::int64_t sy = r.loop->inner_stride(0), sx = r.loop->inner_stride(1);
  const UnaryParams params = r.params;
  r.loop->run(kGrain, [=](const auto& at, std::int64_t n) {
    T* q = y + at[0];
    const T* p = x + at[1];
    if (sx == 1 && sy == 1)
      for (std::int64_t i = 0; i < n; ++i) q[i] = Op::f(p[i], params);
    else
      for (std::int64_t i = 0; i < n; ++i) q[i * sy] = Op::f(p[i * sx], params);
  });
}

template <class Op, class T>
void unary_grad(const UnaryGradRun& r) {
  const auto* gy = static_cast<const T*>(r.gy);
  const auto* kept = static_cast<const T*>(r.kept);
  auto* gx = static_cast<T*>(r.gx);
  const std::int64_t s0 = r.loop->inner_stride(0), s1 = r.loop->inner_stride(1), s2 = r.loop->inner_stride(2);
  const UnaryParams params = r.params;
  r.loop->run(kGrain, [=](const auto& at, std::int64_t n) {
    T* q = gx + at[0];
    const T* g = gy + at[1];
    const T* k = kept + at[2];
    if (s0 == 1 && s1 == 1 && s2 == 1)
      for (std::int64_t i = 0; i < n; ++i) q[i] = g[i] * Op::df(k[i], params);
    else
      for (std::int64_t i = 0; i < n; ++i) q[i * s0] = g[i * s1] * Op::df(k[i * s2], params);
  });
}

template <class Op, class T>
void binary(const BinaryRun& r) {
  const auto* a = static_cast<const T*>(r.a);
  const auto* b = static_cast<const T*>(r.b);
  auto* y = static_cast<T*>(r.y);
  const std::int64_t s0 = r.loop->inner_stride(0), s1 = r.loop->inner_stride(1), s2 = r.loop->inner_stride(2);
  r.loop->run(kGrain, [=](const auto& at, std::int64_t n) {
    T* q = y + at[0];
    const T* u = a + at[1];
    const T* v = b + at[2];
    if (s0 == 1 && s1 == 1 && s2 == 1) {
      for (std::int64_t i = 0; i < n; ++i) q[i] = Op::f(u[i], v[i]);
    } else if (s0 == 1 && s1 == 1 && s2 == 0) {
      const T second = *v;
      for (std::int64_t i = 0; i < n; ++i) q[i] = Op::f(u[i], second);
    } else {
      for (std::int64_t i = 0; i < n; ++i) q[i * s0] = Op::f(u[i * s1], v[i * s2]);
    }
  });
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

#define GRADUS_UNARY(Type, name) {unary<::gradus::unary::Type, float>, unary<::gradus::unary::Type, double>},
#define GRADUS_UNARY_GRAD(Type, name) \
  {unary_grad<::gradus::unary::Type, float>, unary_grad<::gradus::unary::Type, double>},
#define GRADUS_BINARY(Type, name) {binary<::gradus::binary::Type, float>, binary<::gradus::binary::Type, double>},

GRADUS_ISA_DEFINE(PointwiseSimd, pointwise_simd,
                  {.unary = {GRADUS_UNARY_OPS(GRADUS_UNARY)},
                   .unary_grad = {GRADUS_UNARY_OPS(GRADUS_UNARY_GRAD)},
                   .binary = {GRADUS_BINARY_OPS(GRADUS_BINARY)}})
