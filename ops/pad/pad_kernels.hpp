#pragma once
// The kernel of pad.

#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

struct PadProblem {
  DType dtype;
  Shape x_shape, y_shape;
  Strides x_strides, y_strides;  // y is dense
  Dims before;                   // padding in front, per dim
  double value;
  const void* x;
  void* y;
};

namespace cpu {
const Candidates<PadProblem>& pad();
}
namespace cuda {
const Candidates<PadProblem>& pad();
}

}  // namespace gradus
