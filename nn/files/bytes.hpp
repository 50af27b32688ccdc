#pragma once
// Bytes of a file that nobody vouches for: bounded reads in little-endian order, and text that is safe to print.

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace gradus::files {

using Bytes = std::span<const std::uint8_t>;

inline Bytes as_bytes(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }
inline std::string_view as_text(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// True where [offset, offset + size) lies inside `total` bytes; no sum that could wrap is formed.
inline constexpr bool in_range(std::uint64_t offset, std::uint64_t size, std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

/// The little-endian number at `offset`. REQUIRES in_range(offset, sizeof(T), b.size()).
template <class T>
T read_le(Bytes b, std::size_t offset) {
  static_assert(std::is_integral_v<T> && std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<T>(b[offset + i]) << (8 * i));
  return value;
}

/// Appends `value` in little-endian order.
template <class T>
void append_le(std::string& out, T value) {
  static_assert(std::is_integral_v<T> && std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

/// `s` for an error message: control bytes and bytes that are not ASCII as \xNN, cut after 100 bytes.
std::string escaped(std::string_view s);
inline std::string in_quotes(std::string_view s) { return '"' + escaped(s) + '"'; }

/// True where `s` is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view s);

/// Product of two sizes, or false where it does not fit in 63 bits.
inline bool multiply(std::int64_t a, std::int64_t b, std::int64_t* product) {
  return !__builtin_mul_overflow(a, b, product);
}

}  // namespace gradus::files
