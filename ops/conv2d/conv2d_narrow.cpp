// Convolutions whose output pixel is one vector, rows of three taps, stride 1: forward, and backward-data, which is a
// forward convolution of gy with the weights turned around. The arithmetic is in conv2d_narrow_simd.cpp.

#include "ops/conv2d/conv2d_narrow.hpp"

#include <algorithm>
#include <cstring>

#include "core/parallel.hpp"
#include "ops/conv2d/conv2d_plan.hpp"
#include "ops/conv2d/conv2d_weights.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

constexpr int64_t kBandFloats = 32 << 10 >> 2;  // of packed rows in a task, about: they stay in L1
constexpr int64_t kLeastRows = 4;               // of a task: the rows above and below are packed again

bool supports(const ConvShape& c) {
  return c.groups == 1 && c.S == 3 && c.stride_h == 1 && c.stride_w == 1 && c.dilation_h == 1 && c.dilation_w == 1 &&
         c.padding_h < c.R && c.padding_w < c.S;
}

/// The problem as the kernel sees it: of images [height, width, depth] to [rows, columns, channels].
struct Geometry {
  int64_t images, height, width, depth;
  int64_t rows, columns, channels;
  int64_t taps_h, padding_h, padding_w;
  int64_t x_columns, band;  // packed pixels of a row; output rows of a task
};
Geometry geometry(int64_t N, int64_t height, int64_t width, int64_t depth, int64_t rows, int64_t columns,
                  int64_t channels, int64_t taps_h, int64_t padding_h, int64_t padding_w) {
  Geometry g{N, height, width, depth, rows, columns, channels, taps_h, padding_h, padding_w, 0, 0};
  g.x_columns = ceil_div(columns, kNarrowColumns) * kNarrowColumns + 2;
  const int64_t row_floats = g.x_columns * ceil_div(depth, kNarrowDepth) * kNarrowDepth;
  g.band = std::clamp<int64_t>(kBandFloats / row_floats - (taps_h - 1), kLeastRows, std::max(rows, kLeastRows));
  return g;
}
Geometry forward_geometry(const ConvShape& c) {
  return geometry(c.N, c.H, c.W, c.C, c.P, c.Q, c.K, c.R, c.padding_h, c.padding_w);
}
Geometry backward_geometry(const ConvShape& c) {
  return geometry(c.N, c.P, c.Q, c.K, c.H, c.W, c.C, c.R, c.R - 1 - c.padding_h, c.S - 1 - c.padding_w);
}

int64_t weights_size(const Geometry& g) { return g.taps_h * g.depth * 3 * conv_narrow_simd().lanes; }
int64_t band_size(const Geometry& g) {
  return ceil_div(g.depth, kNarrowDepth) * (g.band + g.taps_h - 1) * g.x_columns * kNarrowDepth;
}
int64_t tasks_of(const Geometry& g) { return g.images * ceil_div(g.rows, g.band); }

/// to[tap row][depth][3][lane] = w of output channel `lane`, with `at(lane, r, d, s)` its place in w.
template <class At>
void pack_weights(const Geometry& g, const float* w, float* to, At&& at) {
  const int64_t lanes = conv_narrow_simd().lanes;
  for (int64_t r = 0; r < g.taps_h; ++r)
    for (int64_t d = 0; d < g.depth; ++d)
      for (int64_t s = 0; s < 3; ++s, to += lanes)
        for (int64_t lane = 0; lane < lanes; ++lane) to[lane] = lane < g.channels ? w[at(lane, r, d, s)] : 0.f;
}

/// to[depth block][row][x_columns][16] = `count` rows of an image from `first` on, zeros where there is none.
void pack_rows(const Geometry& g, const float* image, int64_t first, int64_t count, float* to) {
  const int64_t row_floats = g.x_columns * kNarrowDepth;
  const int64_t left = std::min(g.padding_w, g.x_columns), inside = std::min(g.width, g.x_columns - left);
  for (int64_t d0 = 0; d0 < g.depth; d0 += kNarrowDepth) {
    const int64_t depth = std::min(kNarrowDepth, g.depth - d0);
    for (int64_t i = 0; i < count; ++i, to += row_floats) {
      const int64_t h = first + i;
      if (h < 0 || h >= g.height) {
        std::fill_n(to, row_floats, 0.f);
        continue;
      }
      const float* from = image + h * g.width * g.depth + d0;
      float* at = std::fill_n(to, left * kNarrowDepth, 0.f);
      if (g.depth == kNarrowDepth) {
        std::memcpy(at, from, static_cast<size_t>(inside * kNarrowDepth) * sizeof(float));
      } else if (depth == kNarrowDepth) {
        for (int64_t j = 0; j < inside; ++j)
          std::memcpy(at + j * kNarrowDepth, from + j * g.depth, kNarrowDepth * sizeof(float));
      } else {
        for (int64_t j = 0; j < inside; ++j) std::copy_n(from + j * g.depth, depth, at + j * kNarrowDepth);
      }
      std::fill(at + inside * kNarrowDepth, to + row_floats, 0.f);
    }
  }
}

void convolve(const Geometry& g, const float* x, const float* w, const float* bias, const ConvFinish* finish, float* y,
              Moments* wanted) {
  const int64_t bands = ceil_div(g.rows, g.band);
  MomentParts moments(g.channels, wanted ? tasks_of(g) : 0);
  parallel_for(tasks_of(g), [&](int64_t task) {
    const int64_t n = task / bands, p0 = task % bands * g.band;
    ConvNarrow t{};
    t.rows = std::min(g.band, g.rows - p0), t.columns = g.columns, t.channels = g.channels;
    t.x_rows = t.rows + g.taps_h - 1, t.x_columns = g.x_columns;
    t.depth = g.depth, t.taps_h = g.taps_h;
    const Workspace<float> rows(band_size(g));
    pack_rows(g, x + n * g.height * g.width * g.depth, p0 - g.padding_h, t.x_rows, rows.data());
    t.x = rows.data(), t.w = w, t.bias = bias, t.finish = finish;
    t.y_pixel = g.channels, t.y_row = g.columns * g.channels;
    t.y = y + (n * g.rows + p0) * t.y_row;
    ResultSums sums{};
    if (wanted) sums = moments.begin(task, t.rows * t.columns), t.sums = &sums;
    conv_narrow_simd().run(t);
  });
  if (wanted) *wanted = moments.all();
}

int64_t workspace(const Geometry& g) {
  return (weights_size(g) + tasks_at_once(tasks_of(g)) * band_size(g)) * kFloatBytes;
}

}  // namespace

bool is_narrow_forward(const ConvShape& c) { return supports(c) && c.K <= conv_narrow_simd().lanes; }
bool is_narrow_backward_input(const ConvShape& c) { return supports(c) && c.C <= conv_narrow_simd().lanes; }

int64_t forward_narrow_workspace(const ConvShape& c) { return workspace(forward_geometry(c)); }
int64_t backward_input_narrow_workspace(const ConvShape& c) { return workspace(backward_geometry(c)); }

void forward_narrow(const ConvForward& f) {
  const ConvShape& c = f.shape;
  const Geometry g = forward_geometry(c);
  float* y = static_cast<float*>(f.y);
  const PackedWeights packed(f, "narrow", weights_size(g), [&](float* to) {
    pack_weights(g, static_cast<const float*>(f.w), to,
                 [&](int64_t k, int64_t r, int64_t d, int64_t s) { return ((k * c.R + r) * 3 + s) * c.C + d; });
  });
  const ConvFinish finish(f.epilogue, y);
  convolve(g, static_cast<const float*>(f.x), packed.data(), static_cast<const float*>(f.bias),
           f.epilogue.any() ? &finish : nullptr, y, f.moments);
}

void backward_input_narrow(const ConvBackwardInput& f) {
  const ConvShape& c = f.shape;
  const Geometry g = backward_geometry(c);
  const Workspace<float> packed(weights_size(g));
  pack_weights(g, static_cast<const float*>(f.w), packed.data(), [&](int64_t lane, int64_t r, int64_t d, int64_t s) {
    return ((d * c.R + c.R - 1 - r) * 3 + 2 - s) * c.C + lane;
  });
  float* gx = static_cast<float*>(f.gx);
  const ConvFinish add({.residual = gx}, gx);
  convolve(g, static_cast<const float*>(f.gy), packed.data(), nullptr, f.add ? &add : nullptr, gx, nullptr);
}

}  // namespace gradus::cpu
