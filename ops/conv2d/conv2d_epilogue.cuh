#pragma once
// What forward kernels do to a result before they write it: bias, and ConvEpilogue's scale, shift, residual and ReLU.

#include "cuda/gemm_tiles.cuh"
#include "ops/conv2d/conv2d_kernels.hpp"

namespace gradus::cuda {

/// As a kernel's parameter. `k` is a channel of y, `at` the result's place in y.
template <class T>
struct Epilogue {
  const T* bias;
  const Sum<T>* scale;
  const Sum<T>* shift;
  const T* residual;
  bool relu;

  explicit Epilogue(const ConvForward& p)
      : bias(static_cast<const T*>(p.bias)),
        scale(static_cast<const Sum<T>*>(p.epilogue.scale)),
        shift(static_cast<const Sum<T>*>(p.epilogue.shift)),
        residual(static_cast<const T*>(p.epilogue.residual)),
        relu(p.epilogue.relu) {}

  template <class Acc>
  __device__ Acc operator()(Acc value, std::int64_t k, std::int64_t at) const {
    if (bias) value += device_convert<Acc>(bias[k]);
    if (scale) value = value * static_cast<Acc>(scale[k]) + static_cast<Acc>(shift[k]);
    if (residual) value += device_convert<Acc>(residual[at]);
    return relu && value < Acc(0) ? Acc(0) : value;
  }
  /// Four neighbours, all of whose operands are aligned to four elements.
  __device__ void four(float (&v)[4], std::int64_t k, std::int64_t at) const {
    float term[4];
    if (bias) {
      load_four(bias + k, term);
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] += term[i];
    }
    if (scale) {
      float plus[4];
      load_four(scale + k, term), load_four(shift + k, plus);
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] = v[i] * term[i] + plus[i];
    }
    if (residual) {
      load_four(residual + at, term);
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] += term[i];
    }
    if (relu) {
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] = v[i] < 0 ? 0 : v[i];
    }
  }
};

/// Whether four() may be used, as far as these operands go.
inline bool epilogue_in_fours(const ConvForward& p) {
  for (const void* operand : {p.bias, p.epilogue.scale, p.epilogue.shift, p.epilogue.residual})
    if (reinterpret_cast<std::uintptr_t>(operand) % 16 != 0) return false;
  return true;
}

}  // namespace gradus::cuda
