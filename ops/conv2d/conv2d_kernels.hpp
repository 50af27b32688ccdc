#pragma once
// conv2d on plain memory: the three kernels and their candidates.
//
// All work on dense channels-last memory: x [N,H,W,C], weight [K,R,S,C/groups], y [N,P,Q,K]; gradients gx, gw, gy
// alike. Multiply-adds of each kernel: N P Q K R S C/groups.

#include <cstdint>

#include "core/dtype.hpp"
#include "ops/candidates.hpp"

namespace gradus {

class Storage;
struct Moments;

/// One convolution: sizes, and how the window moves. P and Q follow from the rest by conv_output().
struct ConvShape {
  std::int64_t N, C, H, W;  // x [N, C, H, W]
  std::int64_t K, R, S;     // weight [K, C/groups, R, S]
  std::int64_t P, Q;        // y [N, K, P, Q]
  std::int64_t stride_h = 1, stride_w = 1, padding_h = 0, padding_w = 0, dilation_h = 1, dilation_w = 1, groups = 1;

  std::int64_t group_depth() const { return C / groups; }  // input channels of a group
  std::int64_t group_width() const { return K / groups; }  // output channels of a group
  std::int64_t x_size() const { return N * H * W * C; }
  std::int64_t y_size() const { return N * P * Q * K; }
  std::int64_t w_size() const { return K * R * S * group_depth(); }
  double multiply_adds() const { return static_cast<double>(y_size()) * static_cast<double>(R * S * group_depth()); }
};

/// Size of the output along one axis; 0 when the dilated window does not fit into the padded input.
inline std::int64_t conv_output(std::int64_t size, std::int64_t window, std::int64_t stride, std::int64_t padding,
                                std::int64_t dilation) {
  const std::int64_t room = size + 2 * padding - dilation * (window - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

// Problems. All memory has the one dtype, f32 or f64; each kernel writes its whole result.
/// What a kernel does to x as it reads it: x is [relu](x · scale[c] + shift[c]), of pixels that may lie apart.
struct ConvPrologue {
  std::int64_t pixel = 0;                         // elements from one pixel to the next; 0: there is no prologue
  const void *scale = nullptr, *shift = nullptr;  // [C]
  bool relu = false;
  bool any() const { return pixel != 0; }
};
/// What a forward kernel does to a result before it is written: y = act(scale[k] (x * w + bias[k]) + shift[k] +
/// residual). With none of it, nothing.
struct ConvEpilogue {
  const void* scale = nullptr;  // [K], as is shift: f32, or f64 for f64. Both or neither
  const void* shift = nullptr;
  const void* residual = nullptr;  // as y
  bool relu = false;
  bool any() const { return scale || residual || relu; }
};
struct ConvForward {  // y = x * w (+ bias)
  ConvShape shape;
  DType dtype;
  const void *x, *w, *bias;  // bias [K] or null
  void* y;
  ConvEpilogue epilogue = {};
  Storage* keep = nullptr;  // of w, where packed weights may be kept for later calls; null: they are made each time
  ConvPrologue prologue = {};
  /// Of y's channels, for a batch norm that reads it (ops/channel_rows/moments.hpp): wanted besides, if it costs
  /// little. Their count stays 0 where they were not taken. f32.
  Moments* moments = nullptr;
};
/// What a kernel may add up of the gx that it has just written, for the batch norm that made the convolution's input of
/// `x` (ops/channel_rows/gradient_sums.hpp). f32.
struct ConvGradientSums {
  const float* x;
  std::int64_t pixel;                 // floats from one pixel of it to the next
  const float *scale, *shift, *mean;  // [C]
  bool relu;
  double *sum_g, *sum_gx;  // [C]
  bool taken = false;      // by the kernel
};
struct ConvBackwardInput {  // gx[n,h,w,c] = sum of gy w over the windows that saw x[n,h,w,c]
  ConvShape shape;
  DType dtype;
  const void *gy, *w;
  void* gx;
  ConvGradientSums* sums = nullptr;  // wanted besides, if it costs little
  bool add = false;                  // to what gx holds; on the CPU, and not by every candidate
};
struct ConvBackwardWeight {  // gw[k,r,s,c] = sum over n, p, q of gy x
  ConvShape shape;
  DType dtype;
  const void *x, *gy;
  void* gw;
  ConvPrologue prologue = {};
};

namespace cpu {

const Candidates<ConvForward>& conv2d_forward();
const Candidates<ConvBackwardInput>& conv2d_backward_input();
const Candidates<ConvBackwardWeight>& conv2d_backward_weight();

// Each with the bytes of its workspace, as many threads as there are now.
//
// direct: conv2d_direct.cpp
void forward_direct(const ConvForward&);
void backward_input_direct(const ConvBackwardInput&);
void backward_weight_direct(const ConvBackwardWeight&);
std::int64_t forward_direct_workspace(const ConvShape&, bool prologue);
std::int64_t backward_input_direct_workspace(const ConvShape&);
std::int64_t backward_weight_direct_workspace(const ConvShape&);
bool backward_weight_direct_normalises(const ConvShape&);
// packed: conv2d_packed.cpp. Without groups, where weights are large enough to gain from it (f32).
bool is_packed_forward(const ConvShape&);
bool is_packed_backward_input(const ConvShape&, bool sums);
bool is_packed_backward_weight(const ConvShape&);
void forward_packed(const ConvForward&);
void backward_input_packed(const ConvBackwardInput&);
void backward_weight_packed(const ConvBackwardWeight&);
std::int64_t forward_packed_workspace(const ConvShape&, bool moments);
std::int64_t backward_input_packed_workspace(const ConvShape&);
std::int64_t backward_weight_packed_workspace(const ConvShape&);
// winograd_f2x2 and f4x4: conv2d_winograd.cpp. For 3x3 of stride 1 where they gain (f32). `kept`: the transformed
// weights are kept from call to call.
bool is_winograd(const ConvShape&, int tile, bool kept);
bool is_winograd_weight(const ConvShape&, int tile);
void forward_winograd_2(const ConvForward&);
void forward_winograd_4(const ConvForward&);
void backward_input_winograd_2(const ConvBackwardInput&);
void backward_input_winograd_4(const ConvBackwardInput&);
void backward_weight_winograd_2(const ConvBackwardWeight&);
void backward_weight_winograd_4(const ConvBackwardWeight&);
std::int64_t forward_winograd_workspace(const ConvShape&, int tile);
std::int64_t backward_input_winograd_workspace(const ConvShape&, int tile);
std::int64_t backward_weight_winograd_workspace(const ConvShape&, int tile);
// narrow: conv2d_narrow.cpp. For rows of three taps and stride 1 where y's (backward-data: gx's) pixel is one vector
// (f32).
bool is_narrow_forward(const ConvShape&);
bool is_narrow_backward_input(const ConvShape&);
void forward_narrow(const ConvForward&);
void backward_input_narrow(const ConvBackwardInput&);
std::int64_t forward_narrow_workspace(const ConvShape&);
std::int64_t backward_input_narrow_workspace(const ConvShape&);
// lane_groups: conv2d_groups.cpp. For groups of 1, 2, 4, 8 or 16 inputs and as many outputs, of which some or one fit a
// vector; backward-weights of at most 8.
bool is_lane_groups(const ConvShape&);
void forward_groups(const ConvForward&);
void backward_input_groups(const ConvBackwardInput&);
void backward_weight_groups(const ConvBackwardWeight&);
std::int64_t gather_groups_workspace(const ConvShape&);  // forward and backward-data
std::int64_t backward_weight_groups_workspace(const ConvShape&);

}  // namespace cpu
namespace cuda {
const Candidates<ConvForward>& conv2d_forward();
const Candidates<ConvBackwardInput>& conv2d_backward_input();
const Candidates<ConvBackwardWeight>& conv2d_backward_weight();
}  // namespace cuda
}  // namespace gradus
