#pragma once
// Element types that occur in weight files, and how they become Tensors. f64, f32, f16, bf16, i64, u8 and bool stay
// what they are; the smaller integers become i64.

#include <cstdint>

#include "core/tensor.hpp"
#include "nn/files/bytes.hpp"

namespace gradus::files {

enum class Element : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u32, u16, u8, boolean };

std::int64_t element_size(Element element);  // bytes in the file
DType dtype_of(Element element);             // of the tensor it is read into
Element element_of(DType dtype);             // it is written as

/// A one-dimensional CPU tensor of `count` little-endian elements. REQUIRES data.size() == count *
/// element_size(element). A bool is true for any byte but zero.
Tensor read_elements(Bytes data, Element element, std::int64_t count);

/// x on the CPU, dense in logical order: its memory is what a file holds.
Tensor for_file(const Tensor& x);

/// The memory of such a tensor.
inline Bytes memory_of(const Tensor& x) {
  return {static_cast<const std::uint8_t*>(x.data_ptr()), static_cast<std::size_t>(x.bytes())};
}

}  // namespace gradus::files
