#pragma once
// Tensor maps, which TMA copies by: the driver's functions that make them, under its names and rules, and how the
// emulator reads one.
//
// A tiled map describes a tensor of up to five dimensions (the first is contiguous) and the box that one copy brings;
// what lies outside the tensor is zero. An im2col map describes pictures [N, H, W, C] (dimensions C, W, H, N), and one
// copy brings `channels` of each of `pixels` window positions, counted along w, then h, then n, within the bounding box
// [lower, size + upper) by steps of the element strides; the copy's own offsets say which tap of the window.
//
// In shared memory a box lies dense, first dimension fastest; with a swizzle, bits 4 to 6 of the address (128 bytes; 4
// to 5: 64, 4: 32) are combined by exclusive or with bits 7 to 9 (7 to 8, 7).
//
// Not emulated, and refused with CUDA_ERROR_NOT_SUPPORTED: interleaved layouts, element strides in tiled maps, swizzled
// boxes narrower than their swizzle, filling with NaN, data types other than 16-bit and 32-bit floats.

#include <array>
#include <cstddef>
#include <cstdint>

// clang-format off
struct alignas(128) CUtensorMap { unsigned long long opaque[16]; };
using cuuint32_t = std::uint32_t;
using cuuint64_t = std::uint64_t;
enum CUresult { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_NOT_SUPPORTED = 801 };
enum CUtensorMapDataType {
  CU_TENSOR_MAP_DATA_TYPE_FLOAT16 = 6, CU_TENSOR_MAP_DATA_TYPE_FLOAT32 = 7, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9
};
enum CUtensorMapInterleave { CU_TENSOR_MAP_INTERLEAVE_NONE = 0 };
enum CUtensorMapSwizzle {
  CU_TENSOR_MAP_SWIZZLE_NONE = 0, CU_TENSOR_MAP_SWIZZLE_32B, CU_TENSOR_MAP_SWIZZLE_64B, CU_TENSOR_MAP_SWIZZLE_128B
};
enum CUtensorMapL2promotion { CU_TENSOR_MAP_L2_PROMOTION_NONE = 0, CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3 };
enum CUtensorMapFloatOOBfill { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0 };
// clang-format on

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* global,
                                const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                                const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                CUtensorMapFloatOOBfill fill);
CUresult cuTensorMapEncodeIm2col(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* global,
                                 const cuuint64_t* sizes, const cuuint64_t* strides, const int* lower_corner,
                                 const int* upper_corner, cuuint32_t channels, cuuint32_t pixels,
                                 const cuuint32_t* element_strides, CUtensorMapInterleave interleave,
                                 CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                 CUtensorMapFloatOOBfill fill);

namespace gradus::simt {

/// A map's content.
struct TensorMap {
  static constexpr std::uint32_t kMagic = 0x70616d54;  // "Tmap"
  std::uint32_t magic;
  std::uint8_t rank, element_bytes, swizzle;  // swizzle: the span in bytes, 0 for none
  bool im2col;
  const char* global;
  std::uint32_t sizes[5];
  std::uint64_t strides[4];         // bytes, of dimensions 1 on
  std::uint16_t box[5];             // im2col: channels, pixels
  std::uint8_t steps[5];            // im2col: element strides
  std::int16_t lower[2], upper[2];  // im2col: w, h

  /// Bytes that a copy writes to shared memory.
  unsigned box_bytes() const;
};

/// The map behind `p`; null if there is none.
const TensorMap* tensor_map(const CUtensorMap* p);

/// One run of a box along its first dimension: `bytes` at `offset` of the box (before swizzling), of which the first
/// `valid` come from `from` and the others are zero.
struct BoxRow {
  unsigned offset, bytes, valid;
  const char* from;
};

/// Calls fn(const BoxRow&) for all rows of the box at `at` (first dimension first); `tap`: im2col offsets of w and h.
template <class Fn>
void each_row(const TensorMap& m, const std::array<int, 5>& at, const std::array<int, 2>& tap, Fn fn) {
  const auto first = static_cast<std::int64_t>(at[0]), size = static_cast<std::int64_t>(m.sizes[0]);
  const auto row_bytes = static_cast<unsigned>(m.box[0]) * m.element_bytes;
  const std::int64_t inside = first < 0 || first >= size ? 0 : size - first < m.box[0] ? size - first : m.box[0];
  const auto row = [&](unsigned number, const std::array<std::int64_t, 5>& place) {
    bool valid = inside > 0;
    const char* from = m.global + first * m.element_bytes;
    for (int i = 1; i < m.rank; ++i) {
      const std::int64_t p = place[static_cast<std::size_t>(i)];
      valid = valid && p >= 0 && p < static_cast<std::int64_t>(m.sizes[i]);
      from += p * static_cast<std::int64_t>(m.strides[i - 1]);
    }
    fn(BoxRow{number * row_bytes, row_bytes, valid ? static_cast<unsigned>(inside) * m.element_bytes : 0, from});
  };
  std::array<std::int64_t, 5> place{};
  if (m.im2col) {
    std::int64_t w = at[1], h = at[2], n = at[3];
    for (unsigned i = 0; i < m.box[1]; ++i) {
      place[1] = w + tap[0], place[2] = h + tap[1], place[3] = n;
      row(i, place);
      w += m.steps[1];
      if (w < static_cast<std::int64_t>(m.sizes[1]) + m.upper[0]) continue;
      w = m.lower[0], h += m.steps[2];
      if (h < static_cast<std::int64_t>(m.sizes[2]) + m.upper[1]) continue;
      h = m.lower[1], ++n;
    }
    return;
  }
  unsigned rows = 1;
  for (int i = 1; i < m.rank; ++i) rows *= m.box[i];
  for (unsigned i = 0; i < rows; ++i) {
    unsigned rest = i;
    for (int d = 1; d < m.rank; ++d) {
      place[static_cast<std::size_t>(d)] = at[static_cast<std::size_t>(d)] + static_cast<std::int64_t>(rest % m.box[d]);
      rest /= m.box[d];
    }
    row(i, place);
  }
}

/// Where a byte of a tile goes under a swizzle of `span` bytes (0, 32, 64, 128).
inline std::uintptr_t swizzled(std::uintptr_t address, unsigned span) {
  const unsigned chunks = span / 16;  // exchanged: 2, 4 or 8
  return chunks == 0 ? address : address ^ ((address >> 7 & (chunks - 1)) << 4);
}

}  // namespace gradus::simt
