#pragma once
// Element types. f32 and f64 are computed in; bf16 and f16 are storage formats; i64, u8 and bool hold indices, images
// and masks.

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/error.hpp"

namespace gradus {

enum class DType : std::uint8_t { f32, f64, bf16, f16, i64, u8, boolean };

/// Upper half of an f32: 8 bits of exponent, 7 of mantissa. Conversion rounds to nearest even.
struct bf16 {
  std::uint16_t bits = 0;
  bf16() = default;
  explicit bf16(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<std::uint16_t>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};

/// IEEE 754 binary16: 5 bits of exponent, 10 of mantissa. Conversion rounds to nearest even.
struct f16 {
  std::uint16_t bits = 0;
  f16() = default;
  explicit f16(float x);
  explicit operator float() const;
};

// clang-format off
template <class T> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr DType value = DType::f32; };
template <> struct DTypeOf<double> { static constexpr DType value = DType::f64; };
template <> struct DTypeOf<bf16> { static constexpr DType value = DType::bf16; };
template <> struct DTypeOf<f16> { static constexpr DType value = DType::f16; };
template <> struct DTypeOf<std::int64_t> { static constexpr DType value = DType::i64; };
template <> struct DTypeOf<std::uint8_t> { static constexpr DType value = DType::u8; };
template <> struct DTypeOf<bool> { static constexpr DType value = DType::boolean; };
// clang-format on
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

const char* dtype_name(DType);            // "f32", …, "bool"
DType dtype_from_name(const char* name);  // throws ValueError
std::int64_t dtype_size(DType);           // bytes per element
constexpr bool is_floating(DType d) { return d <= DType::f16; }

/// Calls fn(T{}) with the C++ type of `dtype`, any of the seven.
template <class Fn>
decltype(auto) dispatch_all(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::f32: return fn(float{});
    case DType::f64: return fn(double{});
    case DType::bf16: return fn(bf16{});
    case DType::f16: return fn(f16{});
    case DType::i64: return fn(std::int64_t{});
    case DType::u8: return fn(std::uint8_t{});
    case DType::boolean: break;
  }
  return fn(bool{});
}

/// Calls fn(float{}) or fn(double{}); another dtype is a DTypeError that names `op`.
template <class Fn>
decltype(auto) dispatch_float(const char* op, DType dtype, Fn&& fn) {
  if (dtype == DType::f32) return fn(float{});
  if (dtype == DType::f64) return fn(double{});
  fail<DTypeError>("{}: takes f32 or f64, got {} (convert with to())", op, dtype_name(dtype));
}

/// x as a To, through float for the 16-bit formats; to bool is "not zero". Floating numbers become integers by dropping
/// the fraction; those beyond the integer's range become its nearest end, and NaN 0. Integers wrap around.
template <class To, class From>
inline To convert(From x) {
  if constexpr (std::is_same_v<From, bf16> || std::is_same_v<From, f16>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bf16> || std::is_same_v<To, f16>) {
    return To(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr auto low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr auto high = static_cast<From>(std::numeric_limits<To>::max());  // rounded up to 2^63 for i64
    if (x >= high) return std::numeric_limits<To>::max();
    return x >= low ? static_cast<To>(x) : x < low ? std::numeric_limits<To>::min() : To(0);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace gradus
