#include "core/dtype.hpp"

#include <string_view>

namespace gradus {
namespace {
struct Row {
  const char* name;
  std::int64_t size;
};
constexpr Row kRows[] = {{"f32", 4}, {"f64", 8}, {"bf16", 2}, {"f16", 2}, {"i64", 8}, {"u8", 1}, {"bool", 1}};
}  // namespace

const char* dtype_name(DType d) { return kRows[static_cast<int>(d)].name; }
std::int64_t dtype_size(DType d) { return kRows[static_cast<int>(d)].size; }

DType dtype_from_name(const char* name) {
  for (int i = 0; i < 7; ++i)
    if (std::string_view(name) == kRows[i].name) return static_cast<DType>(i);
  fail("dtype: unknown name \"{}\", expected f32, f64, bf16, f16, i64, u8 or bool", name);
}

f16::f16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {  // NaN
    bits = static_cast<std::uint16_t>(sign | 0x7e00u);
  } else if (magnitude >= 0x477ff000u) {  // rounds to 65536 or beyond: infinity
    bits = static_cast<std::uint16_t>(sign | 0x7c00u);
  } else if (magnitude >= 0x38800000u) {  // normal
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    bits = static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  } else if (magnitude <= 0x33000000u) {  // at most half the smallest subnormal
    bits = static_cast<std::uint16_t>(sign);
  } else {  // subnormal: the mantissa with its hidden bit, in units of 2^-24
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t shift = 126u - (magnitude >> 23);
    const std::uint32_t quotient = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    bits = static_cast<std::uint16_t>(sign | (quotient + (rest > half || (rest == half && (quotient & 1u)))));
  }
}

f16::operator float() const {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {  // zero or subnormal, exact in f32
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

}  // namespace gradus
