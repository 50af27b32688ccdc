// Winograd's convolution for 3x3 windows of stride 1: forward, and backward-data, which is a forward convolution of gy
// with the weights turned around. The arithmetic is in conv2d_winograd_simd.cpp.

#include "ops/conv2d/conv2d_winograd.hpp"

#include <algorithm>

#include "core/parallel.hpp"
#include "ops/conv2d/conv2d_plan.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

constexpr int64_t kBufferFloats = 256 << 10 >> 2;  // transformed input and output of a task: half an L2
// What makes the transforms worth it: of the pixels, channels to multiply by; of the weights, pixels to share them; and
// for the larger tile, transformed weights (36 floats for 9) that fit a cache.
constexpr int64_t kLeastChannels = 32, kLeastPixels = 1024, kMostWeights = 1 << 20;

bool supports(const ConvShape& c) {
  return c.R == 3 && c.S == 3 && c.stride_h == 1 && c.stride_w == 1 && c.dilation_h == 1 && c.dilation_w == 1 &&
         c.groups == 1 && c.C % 16 == 0 && c.K % 16 == 0 && c.C >= kLeastChannels && c.K >= kLeastChannels &&
         c.padding_h <= 2 && c.padding_w <= 2 && c.N * c.P * c.Q >= kLeastPixels;
}

/// y = x * w for the task's geometry; N images.
void convolve(WinogradTask t, WinogradWeights w, int64_t N) {
  const int64_t points = (t.tile + 2) * (t.tile + 2);
  const Workspace<float> u(points * t.channels * t.depth), zeros(t.depth);
  w.u = u.data();
  t.u = u.data();
  std::fill_n(zeros.data(), t.depth, 0.f);
  t.zeros = zeros.data();
  parallel_for(t.channels / 16, [&](int64_t group) { winograd_simd().weights(w, group); });

  const int64_t tiles = N * ceil_div(t.P, t.tile) * ceil_div(t.Q, t.tile);
  // Many tiles read each transformed weight once; few keep their buffers in L2.
  const int64_t each = std::clamp<int64_t>(kBufferFloats / (points * (t.channels + t.depth)) / 6 * 6, 24, 96);
  parallel_ranges(tiles, each, [&](int64_t begin, int64_t end) {
    const Workspace<float> v(points * (end - begin) * t.depth), m(points * (end - begin) * t.channels),
        waste(t.channels);
    WinogradTask task = t;
    task.tile_begin = begin, task.tile_end = end;
    task.v = v.data(), task.m = m.data(), task.waste = waste.data();
    winograd_simd().run(task);
  });
}

template <int kTile>
void forward(const ConvForward& f) {
  const ConvShape& c = f.shape;
  WinogradTask t{};
  t.tile = kTile;
  t.x = static_cast<const float*>(f.x), t.y = static_cast<float*>(f.y);
  t.H = c.H, t.W = c.W, t.P = c.P, t.Q = c.Q;
  t.padding_h = c.padding_h, t.padding_w = c.padding_w;
  t.depth = c.C, t.channels = c.K;
  t.bias = static_cast<const float*>(f.bias);
  WinogradWeights w{kTile, static_cast<const float*>(f.w), 9 * c.C, 1, {}, c.K, c.C, nullptr};
  for (int tap = 0; tap < 9; ++tap) w.tap_offset[tap] = tap * c.C;
  convolve(t, w, c.N);
}

template <int kTile>
void backward_input(const ConvBackwardInput& f) {
  const ConvShape& c = f.shape;
  WinogradTask t{};
  t.tile = kTile;
  t.x = static_cast<const float*>(f.gy), t.y = static_cast<float*>(f.gx);
  t.H = c.P, t.W = c.Q, t.P = c.H, t.Q = c.W;
  t.padding_h = 2 - c.padding_h, t.padding_w = 2 - c.padding_w;
  t.depth = c.K, t.channels = c.C;
  WinogradWeights w{kTile, static_cast<const float*>(f.w), 1, 9 * c.C, {}, c.C, c.K, nullptr};
  for (int tap = 0; tap < 9; ++tap) w.tap_offset[tap] = (8 - tap) * c.C;
  convolve(t, w, c.N);
}

}  // namespace

bool is_winograd(const ConvShape& c, int tile) { return supports(c) && (tile == 2 || 36 * c.C * c.K <= kMostWeights); }

void forward_winograd_2(const ConvForward& f) { forward<2>(f); }
void forward_winograd_4(const ConvForward& f) { forward<4>(f); }
void backward_input_winograd_2(const ConvBackwardInput& f) { backward_input<2>(f); }
void backward_input_winograd_4(const ConvBackwardInput& f) { backward_input<4>(f); }

}  // namespace gradus::cpu
