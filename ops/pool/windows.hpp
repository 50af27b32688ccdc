#pragma once
// What pools share: their options, and which input positions each output position reads.

#include <cstdint>
#include <vector>

#include "core/tensor.hpp"
#include "ops/pair.hpp"

namespace gradus {

/// An output position p reads input positions p * stride - padding + k * dilation, k < kernel. As PyTorch: the size of
/// the result is rounded down, or with ceil_mode up, but no window starts inside the right padding.
struct Pool2dOptions {
  Pair kernel = 1;
  Pair stride = 0;    // 0: as the kernel, windows side by side
  Pair padding = 0;   // at most half the (dilated) kernel
  Pair dilation = 1;  // maxima only
  bool ceil_mode = false;
  bool count_include_pad = true;  // averages only: padding counts as zeros, else it does not count
};

/// The windows along one dimension, clipped to the input.
struct Windows {
  std::int64_t in = 0, out = 0;
  std::int64_t step = 1;                   // between the positions of a window
  std::int64_t widest = 0;                 // positions in the longest window, at least 1
  std::vector<std::int64_t> begin, count;  // [out]: positions begin, begin + step, …, of which there are count
  std::vector<double> size;                // [out]: what an average divides by along this dimension

  /// The windows that read input position i are readers[reader_begin[i]] … readers[reader_begin[i + 1] - 1], in order.
  struct Reader {
    std::int64_t out;  // which window
    std::int64_t at;   // as its which position
  };
  std::vector<std::int64_t> reader_begin;  // [in + 1]
  std::vector<Reader> readers;
};

/// Windows of a pool over x [N,C,H,W], rows (over H) and columns (over W), and the shape of its result.
struct PoolPlan {
  Shape in, out;
  Windows rows, cols;
};

/// ShapeError if x is not of rank 4, has H or W of 0, or is smaller than the kernel; ValueError for options out of
/// range. `op` begins the message.
PoolPlan sliding_windows(const char* op, const Tensor& x, const Pool2dOptions& options);
/// Window i of `out` covers floor(i * in / out) … ceil((i + 1) * in / out) - 1: they may overlap, none is empty.
PoolPlan adaptive_windows(const char* op, const Tensor& x, Pair output_size);

/// One output row's windows, for kernels: pointers, so that code built per instruction set shares no library templates.
struct PoolRow {
  std::int64_t channels, width, out_width;  // C, W, Q
  std::int64_t h_begin, h_count, h_step;
  const std::int64_t* w_begin;  // [Q]
  const std::int64_t* w_count;
  std::int64_t w_step, widest;  // widest: of the columns' windows
};
inline PoolRow pool_row(const PoolPlan& plan, std::int64_t p) {
  const auto at = static_cast<std::size_t>(p);
  return {plan.in[1],
          plan.in[3],
          plan.out[3],
          plan.rows.begin[at],
          plan.rows.count[at],
          plan.rows.step,
          plan.cols.begin.data(),
          plan.cols.count.data(),
          plan.cols.step,
          plan.cols.widest};
}

}  // namespace gradus
