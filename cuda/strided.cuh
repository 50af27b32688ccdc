#pragma once
// Strided operands in kernels: where element i of a walk over all dims lies in each operand.

#include <cstdint>

#include "core/strided.hpp"
#include "cuda/device_code.cuh"

namespace gradus::cuda {

/// Element offsets of N operands.
template <int N>
struct Offsets {
  std::int64_t at[N];
};

/// Sizes and strides as a kernel's parameter; the last dim counts fastest.
template <int N>
struct StridedIndex {
  std::int64_t total = 1;
  int rank = 0;
  std::int64_t size[kMaxRank] = {};
  std::int64_t stride[N][kMaxRank] = {};

  StridedIndex() = default;
  /// All dims of the loop, merged and sorted as it has them.
  explicit StridedIndex(const StridedLoop<N>& loop) : total(loop.total), rank(loop.rank) {
    for (int d = 0; d < rank; ++d) {
      size[d] = loop.size[static_cast<std::size_t>(d)];
      for (int k = 0; k < N; ++k) stride[k][d] = loop.stride[static_cast<std::size_t>(k)][static_cast<std::size_t>(d)];
    }
  }
  /// The dims as they are given, in logical order.
  StridedIndex(const Shape& shape, const std::array<const Strides*, N>& strides) : rank(shape.size()) {
    for (int d = 0; d < rank; ++d) {
      total *= shape[d];
      size[d] = shape[d];
      for (int k = 0; k < N; ++k) stride[k][d] = (*strides[static_cast<std::size_t>(k)])[d];
    }
  }

  __device__ Offsets<N> operator()(std::int64_t i) const {
    Offsets<N> o;
    for (int k = 0; k < N; ++k) o.at[k] = 0;
    if (total <= 0x7fffffff) {  // 32-bit division costs a quarter of a 64-bit one
      auto rest = static_cast<std::uint32_t>(i);
      for (int d = rank - 1; d >= 0; --d) {
        const auto n = static_cast<std::uint32_t>(size[d]);
        const std::uint32_t q = rest / n;
        for (int k = 0; k < N; ++k) o.at[k] += static_cast<std::int64_t>(rest - q * n) * stride[k][d];
        rest = q;
      }
    } else {
      for (int d = rank - 1; d >= 0; --d) {
        const std::int64_t q = i / size[d];
        for (int k = 0; k < N; ++k) o.at[k] += (i - q * size[d]) * stride[k][d];
        i = q;
      }
    }
    return o;
  }

  /// Whether operand k is dense in the order of the walk.
  bool unit(int k) const { return rank == 1 && (stride[k][0] == 1 || size[0] == 1); }
};

}  // namespace gradus::cuda
