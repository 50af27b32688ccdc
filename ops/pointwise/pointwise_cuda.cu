// The pointwise operators on CUDA. Bound by memory; each is a ladder of two:
//   strided  one thread for each element, any strides and broadcasting; f32 and f64
//   vector   f32, dense operands (or one number for all): four elements to a load, a quarter of the instructions

#include "cuda/each.cuh"
#include "cuda/strided.cuh"
#include "ops/pointwise/pointwise_kernels.hpp"

namespace gradus::cuda {
namespace {

bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % sizeof(float4) == 0; }

/// Operand k runs along with the elements; with_number: or is one number for all of them.
template <int N>
bool runs_along(const StridedLoop<N>& loop, int k, bool with_number = false) {
  return loop.rank == 1 && (loop.inner_stride(k) == 1 || (with_number && loop.inner_stride(k) == 0));
}

/// fn(first element, count) for the four elements, or fewer at the end, of thread i.
template <class Fn>
__device__ void four(std::int64_t i, std::int64_t n, Fn fn) {
  const std::int64_t begin = 4 * i;
  fn(begin, n - begin < 4 ? static_cast<int>(n - begin) : 4);
}
__device__ float4 load4(const float* p, int count) {
  if (count == 4) return *reinterpret_cast<const float4*>(p);
  return make_float4(p[0], count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, 0.0f);
}
__device__ void store4(float* p, float4 v, int count) {
  if (count == 4) {
    *reinterpret_cast<float4*>(p) = v;
    return;
  }
  p[0] = v.x;
  if (count > 1) p[1] = v.y;
  if (count > 2) p[2] = v.z;
}
std::int64_t fours(std::int64_t n) { return (n + 3) / 4; }

// ---- strided

template <class Op, class T>
void unary_strided(const UnaryRun& r) {
  const StridedIndex<2> index(*r.loop);
  const T* x = static_cast<const T*>(r.x);
  T* y = static_cast<T*>(r.y);
  const UnaryParams params = r.params;
  each(index.total, [=] __device__(std::int64_t i) {
    const Offsets<2> o = index(i);
    y[o.at[0]] = Op::f(x[o.at[1]], params);
  });
}

template <class Op, class T>
void unary_grad_strided(const UnaryGradRun& r) {
  const StridedIndex<3> index(*r.loop);
  const T* gy = static_cast<const T*>(r.gy);
  const T* kept = static_cast<const T*>(r.kept);
  T* gx = static_cast<T*>(r.gx);
  const UnaryParams params = r.params;
  each(index.total, [=] __device__(std::int64_t i) {
    const Offsets<3> o = index(i);
    gx[o.at[0]] = gy[o.at[1]] * Op::df(kept[o.at[2]], params);
  });
}

template <class Op, class T>
void binary_strided(const BinaryRun& r) {
  const StridedIndex<3> index(*r.loop);
  const T* a = static_cast<const T*>(r.a);
  const T* b = static_cast<const T*>(r.b);
  T* y = static_cast<T*>(r.y);
  each(index.total, [=] __device__(std::int64_t i) {
    const Offsets<3> o = index(i);
    y[o.at[0]] = Op::f(a[o.at[1]], b[o.at[2]]);
  });
}

// ---- vector

template <class Op>
void unary_vector(const UnaryRun& r) {
  const std::int64_t n = r.loop->total;
  const float* x = static_cast<const float*>(r.x);
  float* y = static_cast<float*>(r.y);
  const UnaryParams p = r.params;
  each(fours(n), [=] __device__(std::int64_t i) {
    four(i, n, [=](std::int64_t at, int count) {
      const float4 v = load4(x + at, count);
      store4(y + at, make_float4(Op::f(v.x, p), Op::f(v.y, p), Op::f(v.z, p), Op::f(v.w, p)), count);
    });
  });
}

template <class Op>
void unary_grad_vector(const UnaryGradRun& r) {
  const std::int64_t n = r.loop->total;
  const float* gy = static_cast<const float*>(r.gy);
  const float* kept = static_cast<const float*>(r.kept);
  float* gx = static_cast<float*>(r.gx);
  const UnaryParams p = r.params;
  each(fours(n), [=] __device__(std::int64_t i) {
    four(i, n, [=](std::int64_t at, int count) {
      const float4 g = load4(gy + at, count), k = load4(kept + at, count);
      store4(gx + at,
             make_float4(g.x * Op::df(k.x, p), g.y * Op::df(k.y, p), g.z * Op::df(k.z, p), g.w * Op::df(k.w, p)),
             count);
    });
  });
}

template <class Op>
void binary_vector(const BinaryRun& r) {
  const std::int64_t n = r.loop->total;
  const float* a = static_cast<const float*>(r.a);
  const float* b = static_cast<const float*>(r.b);
  float* y = static_cast<float*>(r.y);
  const bool number = r.loop->inner_stride(2) == 0;
  each(fours(n), [=] __device__(std::int64_t i) {
    four(i, n, [=](std::int64_t at, int count) {
      const float4 u = load4(a + at, count);
      const float4 v = number ? make_float4(*b, *b, *b, *b) : load4(b + at, count);
      store4(y + at, make_float4(Op::f(u.x, v.x), Op::f(u.y, v.y), Op::f(u.z, v.z), Op::f(u.w, v.w)), count);
    });
  });
}

bool unary_is_vector(const UnaryProblem& p) {
  return p.dtype == DType::f32 && runs_along(*p.run.loop, 0) && runs_along(*p.run.loop, 1) && aligned(p.run.x) &&
         aligned(p.run.y);
}
bool unary_grad_is_vector(const UnaryGradProblem& p) {
  const auto& loop = *p.run.loop;
  return p.dtype == DType::f32 && runs_along(loop, 0) && runs_along(loop, 1) && runs_along(loop, 2) &&
         aligned(p.run.gx) && aligned(p.run.gy) && aligned(p.run.kept);
}
bool binary_is_vector(const BinaryProblem& p) {
  const auto& loop = *p.run.loop;
  return p.dtype == DType::f32 && runs_along(loop, 0) && runs_along(loop, 1) && runs_along(loop, 2, true) &&
         aligned(p.run.y) && aligned(p.run.a) && (loop.inner_stride(2) == 0 || aligned(p.run.b));
}

// ---- every function by its number

using UnaryFn = void (*)(const UnaryRun&);
using UnaryGradFn = void (*)(const UnaryGradRun&);
using BinaryFn = void (*)(const BinaryRun&);

#define GRADUS_UNARY(Type, name) \
  {unary_strided<::gradus::unary::Type, float>, unary_strided<::gradus::unary::Type, double>},
#define GRADUS_UNARY_GRAD(Type, name) \
  {unary_grad_strided<::gradus::unary::Type, float>, unary_grad_strided<::gradus::unary::Type, double>},
#define GRADUS_BINARY(Type, name) \
  {binary_strided<::gradus::binary::Type, float>, binary_strided<::gradus::binary::Type, double>},
#define GRADUS_UNARY_VECTOR(Type, name) unary_vector<::gradus::unary::Type>,
#define GRADUS_UNARY_GRAD_VECTOR(Type, name) unary_grad_vector<::gradus::unary::Type>,
#define GRADUS_BINARY_VECTOR(Type, name) binary_vector<::gradus::binary::Type>,

constexpr UnaryFn kUnary[][2] = {GRADUS_UNARY_OPS(GRADUS_UNARY)};
constexpr UnaryGradFn kUnaryGrad[][2] = {GRADUS_UNARY_OPS(GRADUS_UNARY_GRAD)};
constexpr BinaryFn kBinary[][2] = {GRADUS_BINARY_OPS(GRADUS_BINARY)};
constexpr UnaryFn kUnaryVector[] = {GRADUS_UNARY_OPS(GRADUS_UNARY_VECTOR)};
constexpr UnaryGradFn kUnaryGradVector[] = {GRADUS_UNARY_OPS(GRADUS_UNARY_GRAD_VECTOR)};
constexpr BinaryFn kBinaryVector[] = {GRADUS_BINARY_OPS(GRADUS_BINARY_VECTOR)};

}  // namespace

const Candidates<UnaryProblem>& unary() {
  static const Candidates<UnaryProblem> list(
      "pointwise.unary",
      {{"vector", "four f32 to a load; bound by memory", unary_is_vector,
        [](const UnaryProblem& p) { kUnaryVector[static_cast<int>(p.op)](p.run); }},
       {"strided", "a thread for each element, any strides", always<UnaryProblem>,
        [](const UnaryProblem& p) { kUnary[static_cast<int>(p.op)][p.dtype == DType::f64](p.run); }}});
  return list;
}

const Candidates<UnaryGradProblem>& unary_grad() {
  static const Candidates<UnaryGradProblem> list(
      "pointwise.unary_grad",
      {{"vector", "four f32 to a load; bound by memory", unary_grad_is_vector,
        [](const UnaryGradProblem& p) { kUnaryGradVector[static_cast<int>(p.op)](p.run); }},
       {"strided", "a thread for each element, any strides", always<UnaryGradProblem>,
        [](const UnaryGradProblem& p) { kUnaryGrad[static_cast<int>(p.op)][p.dtype == DType::f64](p.run); }}});
  return list;
}

const Candidates<BinaryProblem>& binary() {
  static const Candidates<BinaryProblem> list(
      "pointwise.binary",
      {{"vector", "four f32 to a load; bound by memory", binary_is_vector,
        [](const BinaryProblem& p) { kBinaryVector[static_cast<int>(p.op)](p.run); }},
       {"strided", "a thread for each element, any strides, broadcast", always<BinaryProblem>,
        [](const BinaryProblem& p) { kBinary[static_cast<int>(p.op)][p.dtype == DType::f64](p.run); }}});
  return list;
}

}  // namespace gradus::cuda
