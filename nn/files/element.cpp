#include "nn/files/element.hpp"

#include <bit>
#include <cstring>
#include <type_traits>

namespace gradus::files {

static_assert(std::endian::native == std::endian::little, "tensors are copied between memory and file as they are");
static_assert(sizeof(bool) == 1);

namespace {

/// Widens each Small of `data` to i64.
template <class Small>
Tensor widen(Bytes data, std::int64_t count) {
  Tensor out = empty({count}, {.dtype = DType::i64});
  auto* to = out.data<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    Small value;
    std::memcpy(&value, data.data() + static_cast<std::size_t>(i) * sizeof(Small), sizeof(Small));
    to[i] = value;  // NOLINT(bugprone-signed-char-misuse): int8 is a number here
  }
  return out;
}

}  // namespace

std::int64_t element_size(Element element) {
  switch (element) {
    case Element::f64:
    case Element::i64: return 8;
    case Element::f32:
    case Element::i32:
    case Element::u32: return 4;
    case Element::f16:
    case Element::bf16:
    case Element::i16:
    case Element::u16: return 2;
    case Element::i8:
    case Element::u8:
    case Element::boolean: break;
  }
  return 1;
}

DType dtype_of(Element element) {
  switch (element) {
    case Element::f64: return DType::f64;
    case Element::f32: return DType::f32;
    case Element::f16: return DType::f16;
    case Element::bf16: return DType::bf16;
    case Element::u8: return DType::u8;
    case Element::boolean: return DType::boolean;
    case Element::i64:
    case Element::i32:
    case Element::i16:
    case Element::i8:
    case Element::u32:
    case Element::u16: break;
  }
  return DType::i64;
}

Element element_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return Element::f32;
    case DType::f64: return Element::f64;
    case DType::bf16: return Element::bf16;
    case DType::f16: return Element::f16;
    case DType::i64: return Element::i64;
    case DType::u8: return Element::u8;
    case DType::boolean: break;
  }
  return Element::boolean;
}

Tensor read_elements(Bytes data, Element element, std::int64_t count) {
  switch (element) {
    case Element::i32: return widen<std::int32_t>(data, count);
    case Element::i16: return widen<std::int16_t>(data, count);
    case Element::i8: return widen<std::int8_t>(data, count);
    case Element::u32: return widen<std::uint32_t>(data, count);
    case Element::u16: return widen<std::uint16_t>(data, count);
    default: break;
  }
  Tensor out = empty({count}, {.dtype = dtype_of(element)});
  if (count == 0) return out;
  if (element == Element::boolean) {  // a bool with another value than 0 or 1 would be undefined
    auto* to = out.data<bool>();
    for (std::int64_t i = 0; i < count; ++i) to[i] = data[static_cast<std::size_t>(i)] != 0;
  } else {
    std::memcpy(out.data_ptr(), data.data(), data.size());
  }
  return out;
}

Tensor for_file(const Tensor& x) {
  if (x.device().type == DeviceType::cpu) return dense(x, Format::contiguous);
  return empty(x.shape(), {.dtype = x.dtype()}).copy_(x);
}

}  // namespace gradus::files
