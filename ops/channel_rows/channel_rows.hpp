#pragma once
// Vector code over a dense matrix [rows, channels] with a few numbers per channel: what a channels-last activation is
// to batch normalisation and to channel-wise scaling. Also ReLU's gate kept as one bit per element.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <vector>

#include "core/isa.hpp"

namespace gradus {

/// The loops, over `n` elements of consecutive rows. The channels repeat every `width` elements, and per-channel
/// vectors hold `width` entries: where there are few channels they are repeated, and the loops stay long. What has a
/// step of its own (x_step, gx_step) has `width` elements, then a gap until the next: rows of a wider matrix. A result
/// may be written over an operand, element by element.
template <class T>
struct ChannelRows {
  /// Adds up x - shift and its square per position into s1 and s2 (both [width], overwritten).
  void (*moments)(const T* x, std::int64_t x_step, std::int64_t n, std::int64_t width, const T* shift, T* s1, T* s2);
  /// The mean and the sum of squared distances from it of `rows` values of each channel, of which s1 and s2 are what
  /// moments() left (width = repeat * channels), joined to those of `count` values in mean and m2.
  void (*join_moments)(const T* shift, const T* s1, const T* s2, std::int64_t repeat, std::int64_t channels,
                       std::int64_t rows, double* mean, double* m2, std::int64_t count);
  /// y = [relu] (x * scale + shift [+ residual]); residual may be null.
  void (*apply)(const T* x, std::int64_t x_step, const T* residual, const T* scale, const T* shift, bool relu, T* y,
                std::int64_t n, std::int64_t width);
  /// y = x * scale
  void (*scale)(const T* x, const T* scale, T* y, std::int64_t n, std::int64_t width);
  /// Bits y > 0 of n elements, gate_words(n) words.
  void (*gate_bits)(const T* y, std::int64_t n, std::uint32_t* bits);
  /// g = gy where the bit is set, else 0.
  void (*gate_by_bits)(const T* gy, const std::uint32_t* bits, std::int64_t n, T* g);
  /// g = gy where x * scale + shift > 0, else 0.
  void (*gate_by_x)(const T* gy, const T* x, std::int64_t x_step, const T* scale, const T* shift, std::int64_t n,
                    std::int64_t width, T* g);
  /// Sums of g and of g * (x - mean) per position into s1 and s2 (both [width], overwritten). With `gate`, g counts as
  /// 0 unless x * scale + shift > 0; scale and shift are read only then.
  void (*reduce)(const T* g, const T* x, std::int64_t x_step, const T* mean, const T* scale, const T* shift, bool gate,
                 std::int64_t n, std::int64_t width, T* s1, T* s2);
  /// gx = a * g + (b * (x - mean) + c), with the same gate; with `add`, gx += that.
  void (*combine)(const T* g, const T* x, std::int64_t x_step, const T* mean, const T* scale, const T* shift, bool gate,
                  const T* a, const T* b, const T* c, bool add, T* gx, std::int64_t gx_step, std::int64_t n,
                  std::int64_t width);
};
struct ChannelRowsSimd {
  ChannelRows<float> f32;
  ChannelRows<double> f64;
};
GRADUS_ISA_TABLE(ChannelRowsSimd, channel_rows_simd)

template <class T>
const ChannelRows<T>& channel_rows() {
  if constexpr (std::is_same_v<T, float>)
    return channel_rows_simd().f32;
  else
    return channel_rows_simd().f64;
}

// The bits of n elements: of 512 consecutive ones, bit k of word l belongs to element 16 k + l, so that vector code
// writes and reads them without moving anything between lanes.
inline std::int64_t gate_words(std::int64_t n) { return (n + 511) / 512 * 16; }
inline bool gate_bit(const std::uint32_t* bits, std::int64_t e) {
  return (bits[e / 512 * 16 + e % 16] >> (e % 512 / 16) & 1) != 0;
}

/// Where ReLU's gate comes from in backward.
enum class Gate { none, from_x, from_bits };  // no ReLU; x * scale + shift > 0; kept bits

/// How [rows, channels] is cut into blocks. Depends on the problem alone.
struct RowBlocks {
  std::int64_t channels;
  std::int64_t repeat;      // rows after which a vector of per-channel numbers starts again
  std::int64_t width;       // repeat * channels
  std::int64_t block_rows;  // a multiple of repeat
  std::int64_t count;       // blocks

  static constexpr std::int64_t kWidth = 128;       // at least so many elements to an inner loop
  static constexpr std::int64_t kElements = 16384;  // of a block, about: operands and scratch stay in L2
  static constexpr std::int64_t kPerChunk = 4;      // blocks to a chunk of parallel_for

  /// At least min_rows to a block. Without channels there are no blocks. `joined`: the rows follow each other without
  /// gaps, so that an inner loop may run on from one to the next.
  RowBlocks(std::int64_t rows, std::int64_t c, std::int64_t min_rows = 1, bool joined = true)
      : channels(c), repeat(1), width(c), block_rows(1), count(0) {
    if (channels == 0) return;
    if (channels < kWidth && joined) {
      repeat = 16 / std::gcd(channels, std::int64_t{16});  // whole vectors, up to 16 lanes
      repeat *= (kWidth + channels * repeat - 1) / (channels * repeat);
    }
    width = repeat * channels;
    block_rows = std::max(repeat, std::max(min_rows, kElements / channels) / repeat * repeat);
    count = (rows + block_rows - 1) / block_rows;
  }
  std::int64_t chunks() const { return (count + kPerChunk - 1) / kPerChunk; }
  std::int64_t elements() const { return block_rows * channels; }  // of a full block

  /// fn(block, first row, number of rows) for the blocks of a chunk.
  template <class Fn>
  void each(std::int64_t chunk, std::int64_t rows, Fn&& fn) const {
    for (std::int64_t b = chunk * kPerChunk; b < std::min(count, (chunk + 1) * kPerChunk); ++b)
      fn(b, b * block_rows, std::min(block_rows, rows - b * block_rows));
  }
  template <class T>
  std::vector<T> repeated(const T* per_channel) const {
    std::vector<T> all(static_cast<std::size_t>(width));
    for (std::int64_t j = 0; j < width; ++j) all[static_cast<std::size_t>(j)] = per_channel[j % channels];
    return all;
  }
};

}  // namespace gradus
