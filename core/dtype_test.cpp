#include "core/dtype.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/philox.hpp"

namespace gradus {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

template <class T>
T from_bits(std::uint32_t bits) {
  T x;
  x.bits = static_cast<std::uint16_t>(bits);
  return x;
}

/// The value of a 16-bit float by its definition: `mantissa_bits` of fraction, exponent bias `bias`.
double by_definition(std::uint32_t bits, int mantissa_bits, int bias) {
  const int exponent_bits = 15 - mantissa_bits, all_ones = (1 << exponent_bits) - 1;
  const double sign = (bits >> 15) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & all_ones;
  const double fraction = (bits & ((1u << mantissa_bits) - 1u)) * std::pow(2.0, -mantissa_bits);
  if (exponent == all_ones) return fraction == 0 ? sign * kInf : std::nan("");
  if (exponent == 0) return sign * fraction * std::pow(2.0, 1 - bias);
  return sign * (1 + fraction) * std::pow(2.0, exponent - bias);
}

/// Every value, its round trip, and rounding at and around the midpoints between neighbours.
template <class T>
void check_format(int mantissa_bits, int bias) {
  int wrong_values = 0, wrong_round_trips = 0, wrong_roundings = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const T x = from_bits<T>(bits);
    const auto value = static_cast<float>(x);
    const double expected = by_definition(bits, mantissa_bits, bias);
    if (std::isnan(expected)) {
      wrong_values += !std::isnan(value);
      wrong_round_trips += !std::isnan(static_cast<float>(T(value))) || (T(value).bits >> 15) != (bits >> 15);
      continue;
    }
    wrong_values += static_cast<double>(value) != expected || std::signbit(value) != ((bits >> 15) != 0);
    wrong_round_trips += T(value).bits != bits;

    const std::uint32_t magnitude = bits & 0x7fffu;
    if (std::isinf(expected)) continue;
    // The next magnitude up; beyond the largest finite one it is the power of two that infinity stands for.
    double next = by_definition((bits & 0x8000u) | (magnitude + 1), mantissa_bits, bias);
    if (std::isinf(next)) next = std::copysign(std::pow(2.0, bias + 1), expected);
    const auto middle = static_cast<float>((expected + next) / 2);  // exact: one more bit than the format has
    const std::uint32_t even = (bits & 1u) == 0 ? bits : bits + 1;
    wrong_roundings += T(middle).bits != even;
    wrong_roundings += T(std::nextafter(middle, value)).bits != bits;
    wrong_roundings += T(std::nextafter(middle, static_cast<float>(next * 4))).bits != bits + 1;
  }
  CHECK(wrong_values == 0);
  CHECK(wrong_round_trips == 0);
  CHECK(wrong_roundings == 0);
}

}  // namespace

TEST_CASE("f16: all 65536 values are exact, survive a round trip, and neighbours round to nearest even") {
  check_format<f16>(10, 15);
}

TEST_CASE("bf16: all 65536 values are exact, survive a round trip, and neighbours round to nearest even") {
  check_format<bf16>(7, 127);
}

TEST_CASE("f16 and bf16: too large becomes infinity, infinity stays, tiny becomes zero with its sign") {
  CHECK(f16(65504.0f).bits == 0x7bff);
  CHECK(f16(65519.99f).bits == 0x7bff);
  CHECK(f16(65520.0f).bits == 0x7c00);
  CHECK(f16(-1e30f).bits == 0xfc00);
  CHECK(f16(std::numeric_limits<float>::infinity()).bits == 0x7c00);
  CHECK(f16(1e-30f).bits == 0);
  CHECK(f16(-1e-30f).bits == 0x8000);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bf16(std::numeric_limits<float>::infinity()).bits == 0x7f80);
  CHECK(bf16(-0.0f).bits == 0x8000);
}

TEST_CASE("dtype: names go both ways and an unknown one is refused with the list") {
  for (const DType d : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::u8, DType::boolean})
    CHECK(dtype_from_name(dtype_name(d)) == d);
  CHECK_THROWS_WITH_AS(dtype_from_name("float"),
                       "dtype: unknown name \"float\", expected f32, f64, bf16, f16, i64, u8 or bool", ValueError);
}

TEST_CASE("dtype: sizes are those of the C++ types, and four of them float") {
  for (const DType d : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64, DType::u8, DType::boolean})
    dispatch_all(d, [&]<class T>(T) {
      CHECK(dtype_of<T> == d);
      CHECK(dtype_size(d) == static_cast<std::int64_t>(sizeof(T)));
    });
  CHECK(is_floating(DType::f16));
  CHECK_FALSE(is_floating(DType::i64));
}

TEST_CASE("dispatch_float: takes f32 and f64 alone") {
  CHECK(dispatch_float("op", DType::f64, []<class T>(T) { return sizeof(T); }) == 8);
  CHECK_THROWS_WITH_AS(dispatch_float("exp", DType::i64, []<class T>(T) {}),
                       "exp: takes f32 or f64, got i64 (convert with to())", DTypeError);
}

TEST_CASE("convert: to an integer drops the fraction, stays in range and takes NaN for 0") {
  CHECK(convert<std::int64_t>(2.9) == 2);
  CHECK(convert<std::int64_t>(-2.9f) == -2);
  CHECK(convert<std::int64_t>(1e30) == std::numeric_limits<std::int64_t>::max());
  CHECK(convert<std::int64_t>(-1e30f) == std::numeric_limits<std::int64_t>::min());
  CHECK(convert<std::int64_t>(std::nan("")) == 0);
  CHECK(convert<std::uint8_t>(255.9) == 255);
  CHECK(convert<std::uint8_t>(300.0f) == 255);
  CHECK(convert<std::uint8_t>(-0.5) == 0);
  CHECK(convert<std::uint8_t>(-7.0) == 0);
  CHECK(convert<std::uint8_t>(std::int64_t{257}) == 1);
  CHECK(convert<std::uint8_t>(f16(3.5f)) == 3);
}

TEST_CASE("convert: to bool is \"not zero\", and NaN is not zero") {
  CHECK(convert<bool>(0.25f));
  CHECK(convert<bool>(std::nan("")));
  CHECK_FALSE(convert<bool>(-0.0));
  CHECK(convert<bool>(std::int64_t{256}));
  CHECK(convert<double>(true) == 1.0);
}

}  // namespace gradus
