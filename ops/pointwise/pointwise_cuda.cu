// The pointwise operators on CUDA. Bound by memory; each is a ladder of two:
//   strided  one thread for each element, any strides and broadcasting
//   vector   f32 and bf16, dense operands (or one number for all): four elements to a load, a quarter of the
//   instructions
// bf16 is computed in f32 and rounded when it is stored.

#include "cuda/each.cuh"
#include "cuda/four.cuh"
#include "cuda/strided.cuh"
#include "ops/pointwise/pointwise_kernels.hpp"

namespace gradus::cuda {
namespace {

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
    y[o.at[0]] = device_convert<T>(Op::f(device_convert<Compute<T>>(x[o.at[1]]), params));
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
    gx[o.at[0]] = device_convert<T>(device_convert<Compute<T>>(gy[o.at[1]]) *
                                    Op::df(device_convert<Compute<T>>(kept[o.at[2]]), params));
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
    y[o.at[0]] =
        device_convert<T>(Op::f(device_convert<Compute<T>>(a[o.at[1]]), device_convert<Compute<T>>(b[o.at[2]])));
  });
}

// ---- vector

template <class Op, class T>
void unary_vector(const UnaryRun& r) {
  const std::int64_t n = r.loop->total;
  const T* x = static_cast<const T*>(r.x);
  T* y = static_cast<T*>(r.y);
  const UnaryParams p = r.params;
  each(fours(n), [=] __device__(std::int64_t i) {
    four(i, n, [=](std::int64_t at, int count) {
      Four<T> v = load4(x + at, count);
#pragma unroll
      for (int k = 0; k < 4; ++k) v.at[k] = Op::f(v.at[k], p);
      store4(y + at, v, count);
    });
  });
}

template <class Op, class T>
void unary_grad_vector(const UnaryGradRun& r) {
  const std::int64_t n = r.loop->total;
  const T* gy = static_cast<const T*>(r.gy);
  const T* kept = static_cast<const T*>(r.kept);
  T* gx = static_cast<T*>(r.gx);
  const UnaryParams p = r.params;
  each(fours(n), [=] __device__(std::int64_t i) {
    four(i, n, [=](std::int64_t at, int count) {
      Four<T> g = load4(gy + at, count);
      const Four<T> v = load4(kept + at, count);
#pragma unroll
      for (int k = 0; k < 4; ++k) g.at[k] *= Op::df(v.at[k], p);
      store4(gx + at, g, count);
    });
  });
}

template <class Op, class T>
void binary_vector(const BinaryRun& r) {
  const std::int64_t n = r.loop->total;
  const T* a = static_cast<const T*>(r.a);
  const T* b = static_cast<const T*>(r.b);
  T* y = static_cast<T*>(r.y);
  const bool number = r.loop->inner_stride(2) == 0;
  each(fours(n), [=] __device__(std::int64_t i) {
    four(i, n, [=](std::int64_t at, int count) {
      Four<T> u = load4(a + at, count);
      Four<T> v;
      if (number) {
        const auto all = device_convert<Compute<T>>(*b);
        v = {all, all, all, all};
      } else {
        v = load4(b + at, count);
      }
#pragma unroll
      for (int k = 0; k < 4; ++k) u.at[k] = Op::f(u.at[k], v.at[k]);
      store4(y + at, u, count);
    });
  });
}

bool has_vectors(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }
bool aligned(DType dtype, const void* p) {
  return dtype == DType::f32 ? aligned_for_four(static_cast<const float*>(p))
                             : aligned_for_four(static_cast<const bf16*>(p));
}
bool unary_is_vector(const UnaryProblem& p) {
  return has_vectors(p.dtype) && runs_along(*p.run.loop, 0) && runs_along(*p.run.loop, 1) &&
         aligned(p.dtype, p.run.x) && aligned(p.dtype, p.run.y);
}
bool unary_grad_is_vector(const UnaryGradProblem& p) {
  const auto& loop = *p.run.loop;
  return has_vectors(p.dtype) && runs_along(loop, 0) && runs_along(loop, 1) && runs_along(loop, 2) &&
         aligned(p.dtype, p.run.gx) && aligned(p.dtype, p.run.gy) && aligned(p.dtype, p.run.kept);
}
bool binary_is_vector(const BinaryProblem& p) {
  const auto& loop = *p.run.loop;
  return has_vectors(p.dtype) && runs_along(loop, 0) && runs_along(loop, 1) && runs_along(loop, 2, true) &&
         aligned(p.dtype, p.run.y) && aligned(p.dtype, p.run.a) &&
         (loop.inner_stride(2) == 0 || aligned(p.dtype, p.run.b));
}

// ---- every function by its number

using UnaryFn = void (*)(const UnaryRun&);
using UnaryGradFn = void (*)(const UnaryGradRun&);
using BinaryFn = void (*)(const BinaryRun&);

#define GRADUS_ALL(kernel, Function) \
  {kernel<::gradus::Function, float>, kernel<::gradus::Function, double>, kernel<::gradus::Function, bf16>},
#define GRADUS_TWO(kernel, Function) {kernel<::gradus::Function, float>, kernel<::gradus::Function, bf16>},
#define GRADUS_UNARY(Type, name) GRADUS_ALL(unary_strided, unary::Type)
#define GRADUS_UNARY_GRAD(Type, name) GRADUS_ALL(unary_grad_strided, unary::Type)
#define GRADUS_BINARY(Type, name) GRADUS_ALL(binary_strided, binary::Type)
#define GRADUS_UNARY_VECTOR(Type, name) GRADUS_TWO(unary_vector, unary::Type)
#define GRADUS_UNARY_GRAD_VECTOR(Type, name) GRADUS_TWO(unary_grad_vector, unary::Type)
#define GRADUS_BINARY_VECTOR(Type, name) GRADUS_TWO(binary_vector, binary::Type)

constexpr UnaryFn kUnary[][3] = {GRADUS_UNARY_OPS(GRADUS_UNARY)};
constexpr UnaryGradFn kUnaryGrad[][3] = {GRADUS_UNARY_OPS(GRADUS_UNARY_GRAD)};
constexpr BinaryFn kBinary[][3] = {GRADUS_BINARY_OPS(GRADUS_BINARY)};
constexpr UnaryFn kUnaryVector[][2] = {GRADUS_UNARY_OPS(GRADUS_UNARY_VECTOR)};
constexpr UnaryGradFn kUnaryGradVector[][2] = {GRADUS_UNARY_OPS(GRADUS_UNARY_GRAD_VECTOR)};
constexpr BinaryFn kBinaryVector[][2] = {GRADUS_BINARY_OPS(GRADUS_BINARY_VECTOR)};

int column(DType dtype) { return dtype == DType::f32 ? 0 : dtype == DType::f64 ? 1 : 2; }
int vector_column(DType dtype) { return dtype == DType::f32 ? 0 : 1; }

}  // namespace

const Candidates<UnaryProblem>& unary() {
  static const Candidates<UnaryProblem> list(
      "pointwise.unary",
      {{"vector", "four f32 or bf16 to a load; bound by memory", unary_is_vector,
        [](const UnaryProblem& p) { kUnaryVector[static_cast<int>(p.op)][vector_column(p.dtype)](p.run); }},
       {"strided", "a thread for each element, any strides", always<UnaryProblem>,
        [](const UnaryProblem& p) { kUnary[static_cast<int>(p.op)][column(p.dtype)](p.run); }}});
  return list;
}

const Candidates<UnaryGradProblem>& unary_grad() {
  static const Candidates<UnaryGradProblem> list(
      "pointwise.unary_grad",
      {{"vector", "four f32 or bf16 to a load; bound by memory", unary_grad_is_vector,
        [](const UnaryGradProblem& p) { kUnaryGradVector[static_cast<int>(p.op)][vector_column(p.dtype)](p.run); }},
       {"strided", "a thread for each element, any strides", always<UnaryGradProblem>,
        [](const UnaryGradProblem& p) { kUnaryGrad[static_cast<int>(p.op)][column(p.dtype)](p.run); }}});
  return list;
}

const Candidates<BinaryProblem>& binary() {
  static const Candidates<BinaryProblem> list(
      "pointwise.binary",
      {{"vector", "four f32 or bf16 to a load; bound by memory", binary_is_vector,
        [](const BinaryProblem& p) { kBinaryVector[static_cast<int>(p.op)][vector_column(p.dtype)](p.run); }},
       {"strided", "a thread for each element, any strides, broadcast", always<BinaryProblem>,
        [](const BinaryProblem& p) { kBinary[static_cast<int>(p.op)][column(p.dtype)](p.run); }}});
  return list;
}

}  // namespace gradus::cuda
