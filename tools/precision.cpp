#include "tools/precision.hpp"

#include "core/error.hpp"
#if defined(GRADUS_HAS_CUDA)
#include "cuda/runtime.hpp"
#endif

namespace gradus::program {

DType compute_on(Device device, bool amp, bool tf32) {
  const bool cuda = device.type == DeviceType::cuda;
  check<DeviceError>(cuda || !amp, "--amp: mixed precision needs a CUDA device; add --device cuda");
  check<DeviceError>(cuda || !tf32, "--tf32: needs a CUDA device; add --device cuda");
#if defined(GRADUS_HAS_CUDA)
  cuda::allow_tf32(tf32);
#endif
  return amp ? DType::bf16 : DType::f32;
}

}  // namespace gradus::program
