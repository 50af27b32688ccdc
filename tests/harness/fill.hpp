#pragma once
// The closed formula from which the model oracles take every parameter, buffer and input (FNV-1a of a name seeds a
// splitmix64 stream), so that a test needs no weights.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.hpp"

namespace gradus::test {

/// 64-bit FNV-1a of the name's bytes.
std::uint64_t fnv1a(std::string_view name);
/// Element i of the name's stream, from the state fnv1a(name): 64 bits, and as a value in [-1, 1).
std::uint64_t stream_word(std::uint64_t state, std::int64_t i);
inline double stream_value(std::uint64_t state, std::int64_t i) {
  return static_cast<double>(stream_word(state, i) >> 40) * 0x1p-23 - 1;
}

/// The value of a parameter or buffer by its name and shape; rounded to f32, then in `dtype`. Weights of convolutions
/// are channels-last.
Tensor filled(const std::string& name, const Shape& shape, double gain2, DType dtype);
/// The input image batch [N, C, H, W].
Tensor filled_input(const Shape& shape, DType dtype);
/// sum over i of g_i v_i, v the stream of "<name>#probe": catches what keeps the norm of a gradient.
double probe(const std::vector<double>& g, const std::string& name);

}  // namespace gradus::test
