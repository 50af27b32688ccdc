#include "cuda/simt/tensor_map.hpp"

#include <cstring>

namespace gradus::simt {
namespace {

static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

/// What the two kinds of maps have in common. Rules: the driver's documentation of cuTensorMapEncodeTiled and Im2col.
CUresult encode(TensorMap& m, CUtensorMapDataType type, cuuint32_t rank, void* global, const cuuint64_t* sizes,
                const cuuint64_t* strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                CUtensorMapFloatOOBfill fill) {
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
    return CUDA_ERROR_NOT_SUPPORTED;
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16: m.element_bytes = 2; break;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32: m.element_bytes = 4; break;
    default: return CUDA_ERROR_NOT_SUPPORTED;
  }
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE: m.swizzle = 0; break;
    case CU_TENSOR_MAP_SWIZZLE_32B: m.swizzle = 32; break;
    case CU_TENSOR_MAP_SWIZZLE_64B: m.swizzle = 64; break;
    case CU_TENSOR_MAP_SWIZZLE_128B: m.swizzle = 128; break;
    default: return CUDA_ERROR_INVALID_VALUE;
  }
  if (rank < 1 || rank > 5 || !global || reinterpret_cast<std::uintptr_t>(global) % 16 != 0)
    return CUDA_ERROR_INVALID_VALUE;
  m.magic = TensorMap::kMagic;
  m.rank = static_cast<std::uint8_t>(rank);
  m.global = static_cast<const char*>(global);
  for (cuuint32_t i = 0; i < rank; ++i) {
    if (sizes[i] == 0 || sizes[i] > 0xffffffffu) return CUDA_ERROR_INVALID_VALUE;
    m.sizes[i] = static_cast<std::uint32_t>(sizes[i]);
  }
  for (cuuint32_t i = 0; i + 1 < rank; ++i) {
    if (strides[i] % 16 != 0 || strides[i] >= cuuint64_t{1} << 40) return CUDA_ERROR_INVALID_VALUE;
    m.strides[i] = strides[i];
  }
  return CUDA_SUCCESS;
}

/// The box's first dimension: a multiple of 16 bytes, and no wider than the swizzle.
CUresult check_row(const TensorMap& m) {
  const unsigned bytes = static_cast<unsigned>(m.box[0]) * m.element_bytes;
  if (bytes % 16 != 0 || (m.swizzle != 0 && bytes > m.swizzle)) return CUDA_ERROR_INVALID_VALUE;
  return m.swizzle != 0 && bytes != m.swizzle ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

CUresult keep(const TensorMap& m, CUtensorMap* map) {
  *map = {};
  std::memcpy(map, &m, sizeof m);
  return CUDA_SUCCESS;
}

}  // namespace

unsigned TensorMap::box_bytes() const {
  unsigned n = element_bytes;
  for (int i = 0; i < (im2col ? 2 : rank); ++i) n *= box[i];
  return n;
}

const TensorMap* tensor_map(const CUtensorMap* p) {
  const auto* m = reinterpret_cast<const TensorMap*>(p);
  return m && reinterpret_cast<std::uintptr_t>(p) % 64 == 0 && m->magic == TensorMap::kMagic ? m : nullptr;
}

}  // namespace gradus::simt

using namespace gradus::simt;

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* global,
                                const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                                const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  TensorMap m{};
  if (const CUresult e = encode(m, type, rank, global, sizes, strides, interleave, swizzle, fill)) return e;
  for (cuuint32_t i = 0; i < rank; ++i) {
    if (box[i] == 0 || box[i] > 256 || element_strides[i] == 0 || element_strides[i] > 8)
      return CUDA_ERROR_INVALID_VALUE;
    if (i > 0 && element_strides[i] != 1) return CUDA_ERROR_NOT_SUPPORTED;
    m.box[i] = static_cast<std::uint16_t>(box[i]);
  }
  if (const CUresult e = check_row(m)) return e;
  return keep(m, map);
}

CUresult cuTensorMapEncodeIm2col(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* global,
                                 const cuuint64_t* sizes, const cuuint64_t* strides, const int* lower_corner,
                                 const int* upper_corner, cuuint32_t channels, cuuint32_t pixels,
                                 const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                 CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
  TensorMap m{};
  if (rank != 4) return rank == 3 || rank == 5 ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
  if (const CUresult e = encode(m, type, rank, global, sizes, strides, interleave, swizzle, fill)) return e;
  m.im2col = true;
  if (channels == 0 || channels > 256 || pixels == 0 || pixels > 1024) return CUDA_ERROR_INVALID_VALUE;
  m.box[0] = static_cast<std::uint16_t>(channels), m.box[1] = static_cast<std::uint16_t>(pixels);
  for (int i = 0; i < 4; ++i) {
    if (element_strides[i] == 0 || element_strides[i] > 8) return CUDA_ERROR_INVALID_VALUE;
    m.steps[i] = static_cast<std::uint8_t>(element_strides[i]);
  }
  for (int i = 0; i < 2; ++i) {
    const auto in_range = [](int corner) { return corner >= -128 && corner <= 127; };
    if (!in_range(lower_corner[i]) || !in_range(upper_corner[i]) ||
        static_cast<std::int64_t>(sizes[i + 1]) + upper_corner[i] <= lower_corner[i])
      return CUDA_ERROR_INVALID_VALUE;
    m.lower[i] = static_cast<std::int16_t>(lower_corner[i]), m.upper[i] = static_cast<std::int16_t>(upper_corner[i]);
  }
  if (const CUresult e = check_row(m)) return e;
  return keep(m, map);
}
