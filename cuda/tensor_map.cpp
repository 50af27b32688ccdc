#include "cuda/tensor_map.hpp"

#include <array>

#include "core/error.hpp"
#include "cuda/runtime.hpp"

namespace gradus::cuda {
namespace {

CUtensorMapDataType data_type(DType dtype) {
  if (dtype == DType::bf16) return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  if (dtype == DType::f32) return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  fail<DTypeError>("tensor map: expected bf16 or f32, got {}", dtype_name(dtype));
}

CUtensorMapSwizzle swizzle_of(unsigned bytes) {
  return bytes == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE;
}

#if defined(GRADUS_SIMT)
#define GRADUS_DRIVER(name) ::name
#else
/// A function of the driver, which is not linked: programs start without it.
void* driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  check_cuda(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &found), name);
  check<DeviceError>(function && found == cudaDriverEntryPointSuccess, "cuda: the driver has no {}", name);
  return function;
}
#define GRADUS_DRIVER(name) reinterpret_cast<decltype(&::name)>(driver_function(#name))
#endif

void check_encoded(CUresult result, const char* kind, const std::vector<std::int64_t>& sizes) {
  if (result == CUDA_SUCCESS) return;
  std::string text;
  for (const std::int64_t s : sizes) text += fmt::format("{}{}", text.empty() ? "" : ", ", s);
  fail<DeviceError>("cuda: the driver refuses a {} tensor map (error {}) of sizes [{}], contiguous first", kind,
                    static_cast<int>(result), text);
}

}  // namespace

bool hopper_kernels() {
#if defined(GRADUS_SIMT) || defined(GRADUS_CUDA_SM90A)
  const DeviceInfo& info = device_info(current_device());
  return info.major == 9 && info.minor == 0;
#else
  return false;
#endif
}

CUtensorMap tiled_map(DType dtype, const void* data, const std::vector<std::int64_t>& sizes,
                      const std::vector<std::int64_t>& strides, const std::vector<int>& box, unsigned swizzle) {
  CUtensorMap map{};
  std::array<cuuint64_t, 5> size{}, stride{};
  std::array<cuuint32_t, 5> extent{}, ones{1, 1, 1, 1, 1};
  check<ShapeError>(
      !sizes.empty() && sizes.size() <= 5 && strides.size() + 1 == sizes.size() && box.size() == sizes.size(),
      "tensor map: {} sizes, {} strides and a box of {}", sizes.size(), strides.size(), box.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    size[i] = static_cast<cuuint64_t>(sizes[i]);
    extent[i] = static_cast<cuuint32_t>(box[i]);
    if (i > 0) stride[i - 1] = static_cast<cuuint64_t>(strides[i - 1] * dtype_size(dtype));
  }
  check_encoded(GRADUS_DRIVER(cuTensorMapEncodeTiled)(
                    &map, data_type(dtype), static_cast<cuuint32_t>(sizes.size()), const_cast<void*>(data), size.data(),
                    stride.data(), extent.data(), ones.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(swizzle),
                    CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                "tiled", sizes);
  return map;
}

CUtensorMap im2col_map(DType dtype, const void* x, const Windows& w, int channels, int pixels, unsigned swizzle) {
  CUtensorMap map{};
  const std::vector<std::int64_t> sizes{w.C, w.W, w.H, w.N};
  std::array<cuuint64_t, 4> size{}, stride{};
  auto bytes = static_cast<cuuint64_t>(dtype_size(dtype));
  for (std::size_t i = 0; i < 4; ++i) {
    size[i] = static_cast<cuuint64_t>(sizes[i]);
    stride[i] = bytes *= size[i];
  }
  const std::array<int, 2> lower{w.lower, w.lower}, upper{w.upper, w.upper};
  const std::array<cuuint32_t, 4> steps{1, static_cast<cuuint32_t>(w.step_w), static_cast<cuuint32_t>(w.step_h), 1};
  check_encoded(GRADUS_DRIVER(cuTensorMapEncodeIm2col)(
                    &map, data_type(dtype), 4, const_cast<void*>(x), size.data(), stride.data(), lower.data(),
                    upper.data(), static_cast<cuuint32_t>(channels), static_cast<cuuint32_t>(pixels), steps.data(),
                    CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_of(swizzle), CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                    CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                "im2col", sizes);
  return map;
}

}  // namespace gradus::cuda
