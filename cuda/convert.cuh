#pragma once
// Conversions between element types in kernels, bit for bit those of core/dtype.hpp.

#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/number.hpp"
#include "cuda/device_code.cuh"

namespace gradus::cuda {

__device__ inline std::uint32_t bits_of(float x) { return __float_as_uint(x); }
__device__ inline float float_of(std::uint32_t bits) { return __uint_as_float(bits); }

__device__ inline float widen(bf16 x) { return float_of(static_cast<std::uint32_t>(x.bits) << 16); }
/// Rounds to nearest even.
__device__ inline bf16 narrow_to_bf16(float x) {
  const std::uint32_t u = bits_of(x);
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  bf16 y;
  y.bits = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  return y;
}

__device__ inline float widen(f16 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  if (rest >= 0x7c00u) return float_of(sign | 0x7f800000u | (rest & 0x3ffu) << 13);  // infinity, NaN
  if (rest >= 0x400u) return float_of(sign | ((rest << 13) + 0x38000000u));
  const float small = static_cast<float>(rest) * 0x1p-24f;  // subnormal: exact
  return float_of(sign | bits_of(small));
}
/// Rounds to nearest even.
__device__ inline f16 narrow_to_f16(float x) {
  const std::uint32_t u = bits_of(x), sign = u >> 16 & 0x8000u, rest = u & 0x7fffffffu;
  f16 y;
  std::uint32_t bits;
  if (rest > 0x7f800000u) {
    bits = 0x7e00u | (rest >> 13 & 0x3ffu);
  } else if (rest >= 0x477ff000u) {  // 65520 and above round to infinity
    bits = 0x7c00u;
  } else if (rest >= 0x38800000u) {
    bits = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13;
  } else {  // subnormal: the addition rounds in units of 2^-24
    bits = bits_of(float_of(rest) + 0.5f) - bits_of(0.5f);
  }
  y.bits = static_cast<std::uint16_t>(sign | bits);
  return y;
}

/// x as a To, by the rules of convert() in core/dtype.hpp.
template <class To, class From>
__device__ inline To device_convert(From x) {
  if constexpr (std::is_same_v<From, bf16> || std::is_same_v<From, f16>) {
    if constexpr (std::is_same_v<From, To>)
      return x;
    else
      return device_convert<To>(widen(x));
  } else if constexpr (std::is_same_v<To, bf16>) {
    return narrow_to_bf16(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, f16>) {
    return narrow_to_f16(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr From high = static_cast<From>(std::numeric_limits<To>::max());  // rounded up to 2^63 for i64
    if (x >= high) return std::numeric_limits<To>::max();
    return x >= low ? static_cast<To>(x) : x < low ? std::numeric_limits<To>::min() : To(0);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace gradus::cuda
