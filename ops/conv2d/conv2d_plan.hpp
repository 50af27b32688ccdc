#pragma once
// What the direct kernels' drivers share: which taps each output sees, and how the work is cut into tasks.

#include <vector>

#include "ops/conv2d/conv2d_direct.hpp"
#include "ops/conv2d/conv2d_kernels.hpp"

namespace gradus::cpu {

inline constexpr std::int64_t kFloatBytes = sizeof(float);
inline constexpr std::int64_t kTaskFloats =
    192 << 10 >> 2;                         // what a task reads and writes again and again: less than an L2
inline constexpr std::int64_t kTasks = 64;  // enough to balance any sensible number of cores

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The axis as seen from the output of a forward convolution: output o and tap t meet at input o·stride - padding +
/// t·dilation.
std::vector<ConvSegment> forward_segments(std::int64_t outputs, std::int64_t inputs, std::int64_t window,
                                          std::int64_t stride, std::int64_t padding, std::int64_t dilation);

/// The axis of backward-data, for the inputs h ≡ phase (mod stride): h = phase + i·stride receives gy[p] w[t] wherever
/// h + padding = p·stride + t·dilation. With stride 1 or dilation 1 (all that the direct kernels take) the taps that
/// meet a phase are t = first_tap, first_tap + tap_stride, …, and walking them downwards walks p upwards by dilation.
struct Phase {
  std::int64_t first_tap, tap_stride, taps;
  std::int64_t inputs;  // how many h there are
  std::vector<ConvSegment> segments;
};
std::vector<Phase> backward_phases(std::int64_t inputs, std::int64_t outputs, std::int64_t window, std::int64_t stride,
                                   std::int64_t padding, std::int64_t dilation);
/// Where the taps of a phase lie in a channel's weights [R][S][depth], downwards from the last: r·S·depth + s·depth.
std::vector<std::int64_t> phase_taps(const ConvShape&, const Phase& row, const Phase& column);

/// The taps of one axis as backward-weights sees them, for outputs [begin, end): which of those outputs use tap t, and
/// the input (less `origin`) of the first.
std::vector<ConvSegment> tap_segments(std::int64_t begin, std::int64_t end, std::int64_t inputs, std::int64_t window,
                                      std::int64_t stride, std::int64_t padding, std::int64_t dilation,
                                      std::int64_t origin);

/// The geometry of a forward gather, and of the backward gather for phase (a, b) of the strides. Still to be set:
/// depth, channels, packed weights.
ConvGather forward_gather(const ConvShape&, const float* x, float* y, const std::vector<ConvSegment>& rows,
                          const std::vector<ConvSegment>& columns);
ConvGather backward_gather(const ConvShape&, const float* gy, float* gx, std::int64_t a, std::int64_t b,
                           const Phase& row, const Phase& column);

/// Panels of x packed for backward-weights, normalised in place: panel b holds the channels c0 + b·width … of `rows`
/// pixels, and starts b·panel_step floats behind x. Lanes beyond the last channel become zero.
void normalise_panels(const ConvPrologue&, float* x, std::int64_t panel_step, std::int64_t rows, std::int64_t width,
                      std::int64_t c0, std::int64_t channels);

/// Cuts one gather over `rows` rows and `blocks` blocks into tasks: some images, or a band of rows of one, small enough
/// that x stays in L2 while the blocks pass over it; and, unless a task is to have `all_blocks`, fewer of them where
/// that leaves too few tasks. Depends on the problem alone.
void cut(const ConvGather& whole, std::int64_t rows, std::int64_t blocks, std::vector<ConvGather>& tasks,
         bool all_blocks = false);
/// The same where a task is to add something up over the pixels it wrote: all blocks to a task, if that leaves enough
/// tasks. Returns whether so.
bool cut_whole_pixels(const ConvGather& whole, std::int64_t rows, std::int64_t blocks, std::vector<ConvGather>& tasks);
/// Pixels of y that a task of whole pixels writes, of rows of Q.
inline std::int64_t pixels_of(const ConvGather& t, std::int64_t Q) { return t.images * (t.row_end - t.row_begin) * Q; }

}  // namespace gradus::cpu
