#pragma once
// Kernels of the pointwise operators, compiled once per instruction set (pointwise_simd.cpp).
// Bound by memory: one read and one write per element for a unary, two reads and one write for a binary.

#include "core/dtype.hpp"
#include "core/isa.hpp"
#include "core/strided.hpp"
#include "ops/candidates.hpp"
#include "ops/pointwise/binary_list.hpp"
#include "ops/pointwise/unary_list.hpp"

namespace gradus {

/// y[i] = f(x[i]), or gx[i] = gy[i] * df(kept[i]) with operands gx, gy, kept.
struct UnaryRun {
  const StridedLoop<2>* loop;  // y, x
  const void* x;
  void* y;
  UnaryParams params;
};
struct UnaryGradRun {
  const StridedLoop<3>* loop;  // gx, gy, kept
  const void* gy;
  const void* kept;
  void* gx;
  UnaryParams params;
};
struct BinaryRun {
  const StridedLoop<3>* loop;  // y, a, b
  const void* a;
  const void* b;
  void* y;
};

namespace cuda {
struct UnaryProblem {
  Unary op;
  DType dtype;
  UnaryRun run;
};
struct UnaryGradProblem {
  Unary op;
  DType dtype;
  UnaryGradRun run;
};
struct BinaryProblem {
  Binary op;
  DType dtype;
  BinaryRun run;
};
const Candidates<UnaryProblem>& unary();
const Candidates<UnaryGradProblem>& unary_grad();
const Candidates<BinaryProblem>& binary();
}  // namespace cuda

struct PointwiseSimd {
  void (*unary[static_cast<int>(Unary::count)][2])(const UnaryRun&);  // [function][f32, f64]
  void (*unary_grad[static_cast<int>(Unary::count)][2])(const UnaryGradRun&);
  void (*binary[static_cast<int>(Binary::count)][2])(const BinaryRun&);
};
GRADUS_ISA_TABLE(PointwiseSimd, pointwise_simd)

}  // namespace gradus
