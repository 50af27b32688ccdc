// conv2d as a matrix product: gemm_1x1 by cuBLAS, implicit_gemm and tensor with the tiles of cuda/gemm_tiles.cuh.

#include "cuda/blas.hpp"
#include "ops/conv2d/conv2d_sources.cuh"
#include "ops/conv2d/conv2d_weight_parts.cuh"

namespace gradus::cuda {
namespace {

// ---- gemm_1x1

template <class T>
void spread_bias(std::int64_t size, std::int64_t channels, const T* bias, T* y) {
  each(size, [=] __device__(std::int64_t i) { y[i] = bias[i % channels]; });
}

/// The epilogue as a pass of its own; the bias is in y already.
template <class T>
void finish(std::int64_t size, std::int64_t channels, Epilogue<T> epilogue, T* y) {
  epilogue.bias = nullptr;
  each(size, [=] __device__(std::int64_t i) {
    y[i] = device_convert<T>(epilogue(device_convert<Sum<T>>(y[i]), i % channels, i));
  });
}

bool is_pointwise(const ConvShape& c) {
  return c.R == 1 && c.S == 1 && c.stride_h == 1 && c.stride_w == 1 && c.padding_h == 0 && c.padding_w == 0 &&
         c.groups == 1 && c.N > 0 && c.K > 0;
}

// ---- implicit_gemm, tensor

/// A product of `columns` columns per group, `depth` deep.
bool fills_tiles(const ConvShape& c, std::int64_t columns, std::int64_t depth) {
  return fits_int(c) && columns >= 8 && depth >= 8 && c.N > 0;
}
}  // namespace

// The library has no epilogue: where the pipeline has, it is faster, for a 1x1 convolution is bound by memory.
bool takes_gemm_1x1(const ConvForward& p) { return is_pointwise(p.shape) && (!p.epilogue.any() || !takes_pipeline(p)); }
bool takes_gemm_1x1(const ConvBackwardInput& p) { return is_pointwise(p.shape); }
bool takes_gemm_1x1(const ConvBackwardWeight& p) { return is_pointwise(p.shape); }

void run_gemm_1x1(const ConvForward& p) {
  const ConvShape& c = p.shape;
  typed(p, [&]<class T>(T) {
    if (p.bias) spread_bias(c.y_size(), c.K, static_cast<const T*>(p.bias), static_cast<T*>(p.y));
    gemm(false, true, c.N * c.P * c.Q, c.K, c.C, 1, static_cast<const T*>(p.x), c.C, static_cast<const T*>(p.w), c.C,
         p.bias ? 1 : 0, static_cast<T*>(p.y), c.K);
    if (p.epilogue.any()) finish(c.y_size(), c.K, Epilogue<T>(p), static_cast<T*>(p.y));
  });
}
void run_gemm_1x1(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  typed(p, [&]<class T>(T) {
    gemm(false, false, c.N * c.P * c.Q, c.C, c.K, 1, static_cast<const T*>(p.gy), c.K, static_cast<const T*>(p.w), c.C,
         0, static_cast<T*>(p.gx), c.C);
  });
}
void run_gemm_1x1(const ConvBackwardWeight& p) {
  const ConvShape& c = p.shape;
  typed(p, [&]<class T>(T) {
    gemm(true, false, c.K, c.C, c.N * c.P * c.Q, 1, static_cast<const T*>(p.gy), c.K, static_cast<const T*>(p.x), c.C,
         0, static_cast<T*>(p.gw), c.C);
  });
}

bool takes_implicit_gemm(const ConvForward& p) {
  return fills_tiles(p.shape, p.shape.group_width(), p.shape.group_depth() * p.shape.R * p.shape.S);
}
bool takes_implicit_gemm(const ConvBackwardInput& p) {
  return fills_tiles(p.shape, p.shape.group_depth(), p.shape.group_width() * p.shape.R * p.shape.S);
}
bool takes_implicit_gemm(const ConvBackwardWeight& p) {
  return fills_tiles(p.shape, p.shape.group_depth() * p.shape.R * p.shape.S, p.shape.group_width());
}
void run_implicit_gemm(const ConvForward& p) {
  typed(p, [&]<class T>(T) { gemm_registers(ForwardSource<T>(p), ForwardSource<T>::layers(p.shape)); });
}
void run_implicit_gemm(const ConvBackwardInput& p) {
  typed(p, [&]<class T>(T) { gemm_registers(BackwardInputSource<T>(p), BackwardInputSource<T>::layers(p.shape)); });
}
void run_implicit_gemm(const ConvBackwardWeight& p) {
  typed(p, [&]<class T>(T) {
    backward_weight_in_parts<T>(p, [](const auto& source, std::int64_t z) { gemm_registers(source, z); });
  });
}

bool takes_tensor(const ConvForward& p) { return tensor_allowed(p) && takes_implicit_gemm(p); }
bool takes_tensor(const ConvBackwardInput& p) { return tensor_allowed(p) && takes_implicit_gemm(p); }
bool takes_tensor(const ConvBackwardWeight& p) { return tensor_allowed(p) && takes_implicit_gemm(p); }
// The elements of bf16 are TF32 numbers, so the same instruction multiplies them exactly.
void run_tensor(const ConvForward& p) {
  tensor_typed(p, [&]<class T>(T) { gemm_tensor(ForwardSource<T>(p), ForwardSource<T>::layers(p.shape)); });
}
void run_tensor(const ConvBackwardInput& p) {
  tensor_typed(p, [&]<class T>(T) { gemm_tensor(BackwardInputSource<T>(p), BackwardInputSource<T>::layers(p.shape)); });
}
void run_tensor(const ConvBackwardWeight& p) {
  tensor_typed(p, [&]<class T>(T) {
    backward_weight_in_parts<T>(p, [](const auto& source, std::int64_t z) { gemm_tensor(source, z); });
  });
}

std::int64_t weight_parts(const ConvShape& c) {
  const std::int64_t tiles = (c.group_width() + 63) / 64 * ((c.R * c.S * c.group_depth() + 63) / 64) * c.groups;
  const std::int64_t useful = (c.N * c.P * c.Q + 1023) / 1024;
  return std::clamp<std::int64_t>(std::min(useful, 512 / tiles), 1, kMostLayers / c.groups);
}

}  // namespace gradus::cuda
