#pragma once
// Random tensors, and the generator whose state a checkpoint keeps.

#include "core/philox.hpp"
#include "core/tensor.hpp"

namespace gradus {

/// Hands out Philox streams one after the other. Two numbers are its whole state.
struct Generator {
  std::uint64_t seed = 0;
  std::uint64_t next_stream = 0;
  Philox stream() { return {seed, next_stream++}; }
};

/// The generator that initialisers and dropout draw from; one per thread.
Generator& default_generator();
/// Restarts it: the same seed gives the same bits.
void manual_seed(std::uint64_t seed);

// New tensors of f32 or f64 whose element at logical position i depends on the stream and i alone.
Tensor rand(const Shape& shape, const TensorOptions& options = {}, Generator& generator = default_generator());
Tensor randn(const Shape& shape, const TensorOptions& options = {}, Generator& generator = default_generator());
// The same into an existing tensor (off the tape): uniform in [low, high) (24 bits), normal with mean and standard
// deviation.
void uniform_(const Tensor& x, double low, double high, Generator& generator = default_generator());
void normal_(const Tensor& x, double mean, double std, Generator& generator = default_generator());
/// Normal values, those outside [low, high] drawn again. ValueError where fewer than one in 10,000 would be inside.
void truncated_normal_(const Tensor& x, double mean, double std, double low, double high,
                       Generator& generator = default_generator());
/// A random order of 0 … n-1, i64.
Tensor randperm(std::int64_t n, Generator& generator = default_generator());

}  // namespace gradus
