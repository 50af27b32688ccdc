#pragma once
// The register tiles of the convolutions' kernels: rows (pixels, input channels, …) by vectors of columns (output
// channels). A depth step of R rows by V vectors makes R·V multiply-adds of V loads and R broadcasts, so that a tile as
// square as the registers allow reads least. AVX-512 has the registers for four vectors, and needs them: with two
// vectors by 14 rows the loads, about one a cycle, take longer than the multiply-adds, two a cycle.

#include <cstdint>
#include <type_traits>

#include "core/simd.hpp"

namespace gradus::GRADUS_ISA {

inline constexpr int kTileVectors = kRegisters == 32 ? 4 : 2;  // at most, in a tile

/// Rows whose sums fill the registers but for V vectors of columns and one broadcast.
template <int V>
inline constexpr int kTileRows = (kRegisters - V - 1) / V;

/// fn(std::integral_constant<int, V>) for V = vectors, 1 … kTileVectors.
template <int V = kTileVectors, class Fn>
inline void with_vectors(std::int64_t vectors, Fn&& fn) {
  if (vectors == V) return fn(std::integral_constant<int, V>{});
  if constexpr (V > 1) with_vectors<V - 1>(vectors, fn);
}

}  // namespace gradus::GRADUS_ISA
