// conv2d as implicit GEMM through the pipeline of cuda/gemm_pipeline.cuh: gathered windows come by cp.async, 16 bytes
// of channels at a time, with zeros for the padding.

#include "cuda/gemm_pipeline.cuh"
#include "ops/conv2d/conv2d_sources.cuh"
#include "ops/conv2d/conv2d_weight_parts.cuh"

namespace gradus::cuda {
namespace {

template <class Problem>
bool in_vectors(const Problem& p, std::initializer_list<const void*> operands) {
  return fits_int(p.shape) && p.shape.N > 0 && sixteen_bytes(p.shape, p.dtype, operands);
}
bool in_vectors(const ConvForward& p) { return in_vectors(p, {p.x, p.w, p.y}) && epilogue_in_fours(p); }
bool in_vectors(const ConvBackwardInput& p) { return in_vectors(p, {p.gy, p.w, p.gx}); }
bool in_vectors(const ConvBackwardWeight& p) { return in_vectors(p, {p.x, p.gy, p.gw}); }

}  // namespace

bool takes_pipeline(const ConvForward& p) { return tensor_allowed(p) && in_vectors(p); }
bool takes_pipeline(const ConvBackwardInput& p) { return tensor_allowed(p) && in_vectors(p); }
bool takes_pipeline(const ConvBackwardWeight& p) { return tensor_allowed(p) && in_vectors(p); }

void run_pipeline(const ConvForward& p) {
  tensor_typed(p, [&]<class T>(T) { gemm_pipeline<true>(ForwardSource<T>(p), ForwardSource<T>::layers(p.shape)); });
}
void run_pipeline(const ConvBackwardInput& p) {
  tensor_typed(
      p, [&]<class T>(T) { gemm_pipeline<true>(BackwardInputSource<T>(p), BackwardInputSource<T>::layers(p.shape)); });
}
void run_pipeline(const ConvBackwardWeight& p) {
  tensor_typed(p, [&]<class T>(T) {
    backward_weight_in_parts<T>(p, [](const auto& source, std::int64_t z) { gemm_pipeline<false>(source, z); });
  });
}

bool takes_pipeline_3xtf32(const ConvForward& p) { return p.dtype == DType::f32 && in_vectors(p); }
bool takes_pipeline_3xtf32(const ConvBackwardInput& p) { return p.dtype == DType::f32 && in_vectors(p); }
bool takes_pipeline_3xtf32(const ConvBackwardWeight& p) { return p.dtype == DType::f32 && in_vectors(p); }
void run_pipeline_3xtf32(const ConvForward& p) {
  using Source = ForwardSource<float>;
  gemm_pipeline<true, Terms::three>(Source(p), Source::layers(p.shape));
}
void run_pipeline_3xtf32(const ConvBackwardInput& p) {
  using Source = BackwardInputSource<float>;
  gemm_pipeline<true, Terms::three>(Source(p), Source::layers(p.shape));
}
void run_pipeline_3xtf32(const ConvBackwardWeight& p) {
  backward_weight_in_parts<float>(
      p, [](const auto& source, std::int64_t z) { gemm_pipeline<false, Terms::three>(source, z); });
}

}  // namespace gradus::cuda
