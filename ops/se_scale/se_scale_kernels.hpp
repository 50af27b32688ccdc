#pragma once
// Kernels of se_scale. x is [images, rows, channels] in memory, rows = H*W; s is [images, channels]. Bound by memory:
// forward reads x (and the residual) and writes y; backward reads gy and x and writes gx (and the residual's gradient).

#include "ops/candidates.hpp"
#include "ops/channel_rows/channel_rows.hpp"

namespace gradus {

template <class T>
struct SeScaleForward {
  std::int64_t images, rows, channels;
  const T* x;
  const T* s;
  const T* residual;  // or null
  bool relu;
  T* y;
  std::uint32_t* bits;  // y > 0, se_scale_words() words; or null
};
/// gx, gs and gres may each be null; gx or gres may be gy.
template <class T>
struct SeScaleBackward {
  std::int64_t images, rows, channels;
  const T* x;
  const T* s;
  const T* gy;
  Gate gate;
  const std::uint32_t* bits;  // for Gate::from_bits
  T* gx;
  T* gs;  // [images, channels]: sum of g * x over rows
  T* gres;
};

template <class T>
const Candidates<SeScaleForward<T>>& se_scale_candidates();
template <class T>
const Candidates<SeScaleBackward<T>>& se_scale_backward_candidates();

namespace cuda {
// The bits lie in plain order here, element e as bit e % 32 of word e / 32; they need fewer words than on the CPU.
template <class T>
const Candidates<SeScaleForward<T>>& se_scale();
template <class T>
const Candidates<SeScaleBackward<T>>& se_scale_backward();
template <class T>
void se_scale_expand_bits(const std::uint32_t* bits, std::int64_t elements, T* open);
}  // namespace cuda

/// Words of the bits of [images, rows, channels].
std::int64_t se_scale_words(std::int64_t images, std::int64_t rows, std::int64_t channels);
/// The bits as T, 1 or 0.
template <class T>
void se_scale_expand_bits(const std::uint32_t* bits, std::int64_t images, std::int64_t rows, std::int64_t channels,
                          T* open);

}  // namespace gradus
