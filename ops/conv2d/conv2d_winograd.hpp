#pragma once
// What conv2d_winograd.cpp hands to its kernels (conv2d_winograd_simd.cpp). 3x3, stride 1, no groups; depth (input
// channels) and channels (outputs) are multiples of 16.

#include <cstdint>

#include "core/isa.hpp"
#include "ops/conv2d/conv2d_finish.hpp"
#include "ops/conv2d/conv2d_moments.hpp"

namespace gradus {

struct WinogradWeights {
  int tile;        // outputs of a tile along one axis: 2 or 4
  const float* w;  // weight of (channel, tap, depth): w[channel·channel_step + tap_offset[tap] + depth·depth_step]
  std::int64_t channel_step, depth_step;
  std::int64_t tap_offset[9];
  std::int64_t channels, depth;
  float* u;  // [(tile+2)²][block][depth][lanes of the block]
};

struct WinogradTask {
  int tile;
  const float* x;   // [N,H,W,depth]
  float* y;         // [N,P,Q,channels]
  const float* gy;  // the weight gradient's, in the place of y
  std::int64_t H, W, P, Q, padding_h, padding_w, depth, channels;
  const float *u, *bias;              // bias [channels] or null
  const ConvFinish* finish;           // what is still done to the result, or null
  const ResultSums* sums;             // of the results, or null
  std::int64_t tile_begin, tile_end;  // of the N x ⌈P/tile⌉ x ⌈Q/tile⌉ tiles
  float *v, *m;                       // room for [(tile+2)²][tiles][depth] and [(tile+2)²][tiles][channels]
  const float* zeros;                 // [max(depth, channels)]: a pixel of padding
  float* waste;                       // [channels]: where outputs beyond the edge go
};

struct WinogradSimd {
  std::int64_t buffer;  // floats of transformed input and output that stay near: half an L2
  void (*weights)(const WinogradWeights&, std::int64_t group);  // for channels 16·group … 16·group + 15
  void (*run)(const WinogradTask&);
  void (*transform)(const WinogradTask&);  // v from x and m from gy
  /// gw [channels][3][3][depth] of output channel k, from the sums over tiles [point][channels][depth].
  void (*weight_gradient)(int tile, const float* sums, std::int64_t channels, std::int64_t depth, std::int64_t k,
                          float* gw);
};
GRADUS_ISA_TABLE(WinogradSimd, winograd_simd)

}  // namespace gradus
