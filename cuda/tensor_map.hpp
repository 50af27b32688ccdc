#pragma once
// What the host does for Hopper's kernels (cuda/ptx_sm90.cuh): says whether they can run, and makes the maps TMA copies
// by. On a GPU the driver encodes them (cuTensorMapEncodeTiled, …Im2col), in emulation cuda/simt/tensor_map.hpp.
//
// Dimensions are listed from the contiguous one on. Memory and strides are aligned to 16 bytes.

#include <cstdint>
#include <vector>

#include "core/dtype.hpp"

#if defined(GRADUS_SIMT)
#include "cuda/simt/tensor_map.hpp"
#else
#include <cuda.h>
#endif

namespace gradus::cuda {

/// Whether the current device runs sm_90a code and this build has it.
bool hopper_kernels();

/// A tensor of `sizes`; `strides` are elements, of all dimensions but the first. A copy brings a box of `box` elements;
/// outside the tensor are zeros. `swizzle`: 0, or 128 for boxes 128 bytes wide. DeviceError where the driver refuses.
CUtensorMap tiled_map(DType dtype, const void* data, const std::vector<std::int64_t>& sizes,
                      const std::vector<std::int64_t>& strides, const std::vector<int>& box, unsigned swizzle);

/// Windows over dense pictures [N, H, W, C]: their corners go from `lower` in steps of `step` and stay below size +
/// `upper`, along h and w alike. A copy brings `channels` of `pixels` corners, each moved by the copy's tap.
struct Windows {
  std::int64_t N, H, W, C;
  int lower, upper, step_h, step_w;
};
CUtensorMap im2col_map(DType dtype, const void* x, const Windows& windows, int channels, int pixels, unsigned swizzle);

}  // namespace gradus::cuda
