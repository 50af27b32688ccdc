// Winograd's convolution for 3x3 windows of stride 1: forward; backward-data, which is a forward convolution of gy with
// the weights turned around; and backward-weights. The arithmetic is in conv2d_winograd_simd.cpp.

#include "ops/conv2d/conv2d_winograd.hpp"

#include <algorithm>
#include <vector>

#include "core/parallel.hpp"
#include "ops/conv2d/conv2d_packed.hpp"
#include "ops/conv2d/conv2d_plan.hpp"
#include "ops/conv2d/conv2d_weights.hpp"
#include "ops/workspace.hpp"

namespace gradus::cpu {
namespace {

using std::int64_t;

// What makes the transforms worth it: of the pixels, channels to multiply by; of the weights, pixels to share them
// (fewer where transformed weights are kept); and memory for transformed weights: 36 floats for 9 on the larger tile.
constexpr int64_t kLeastChannels = 32, kLeastPixels = 1024, kLeastPixelsKept = 700, kMostWeights = 36 << 18;
// The weight gradient: in parts, each with sums of its own, of at most so many floats; and the depth of a product.
constexpr int64_t kParts = 8, kMostSums = 1 << 20, kWeightTiles = 96;
constexpr int64_t kMostLying = 128;  // channels of a product's factors that are read where they lie

bool supports(const ConvShape& c) {
  return c.R == 3 && c.S == 3 && c.stride_h == 1 && c.stride_w == 1 && c.dilation_h == 1 && c.dilation_w == 1 &&
         c.groups == 1 && c.C % 16 == 0 && c.K % 16 == 0 && c.C >= kLeastChannels && c.K >= kLeastChannels &&
         c.padding_h <= 2 && c.padding_w <= 2;
}

/// Tiles of a task: few enough that their buffers stay in L2, enough to read each transformed weight for many. Where
/// the weights do not fit L2 either, one point's products at a time work on one point's part of the buffers.
int64_t tiles_each(int64_t points, int64_t channels, int64_t weights) {
  const int64_t buffer = winograd_simd().buffer, least = points * weights > buffer ? 96 : 24;
  return std::clamp<int64_t>(buffer / (points * channels) / 12 * 12, least, 96);
}

constexpr int64_t points_of(int tile) { return (tile + 2) * (tile + 2); }
int64_t tiles_of(int tile, int64_t N, int64_t P, int64_t Q) { return N * ceil_div(P, tile) * ceil_div(Q, tile); }

/// What convolve() takes.
int64_t convolve_workspace(int tile, int64_t N, int64_t P, int64_t Q, int64_t channels, int64_t depth) {
  const int64_t points = points_of(tile), tiles = tiles_of(tile, N, P, Q);
  const int64_t each = tiles_each(points, channels + depth, channels * depth);
  const int64_t task = points * std::min(each, tiles) * (depth + channels) + channels;
  return (points * channels * depth + depth + tasks_at_once(ceil_div(tiles, each)) * task) * kFloatBytes;
}

/// to[point][block][depth][lane], the transformed weights.
int64_t weights_size(const WinogradWeights& w) { return points_of(w.tile) * w.channels * w.depth; }
void transform_weights(WinogradWeights w, float* to) {
  w.u = to;
  parallel_for(w.channels / 16, [&](int64_t group) { winograd_simd().weights(w, group); });
}

/// Outputs that the tiles [begin, end) have in the image.
int64_t outputs_of(const WinogradTask& t, int64_t begin, int64_t end) {
  const int64_t rows = ceil_div(t.P, t.tile), columns = ceil_div(t.Q, t.tile);
  int64_t outputs = 0;
  for (int64_t tile = begin; tile < end; ++tile)
    outputs += std::min<int64_t>(t.tile, t.P - tile / columns % rows * t.tile) *
               std::min<int64_t>(t.tile, t.Q - tile % columns * t.tile);
  return outputs;
}

/// y = x * w for the task's geometry and its weights u; N images. `wanted`, if not null, receives y's moments.
void convolve(WinogradTask t, int64_t N, Moments* wanted = nullptr) {
  const int64_t points = points_of(t.tile);
  const Workspace<float> zeros(t.depth);
  std::fill_n(zeros.data(), t.depth, 0.f);
  t.zeros = zeros.data();
  const int64_t tiles = tiles_of(t.tile, N, t.P, t.Q);
  const int64_t each = tiles_each(points, t.channels + t.depth, t.channels * t.depth);
  MomentParts moments(t.channels, wanted ? ceil_div(tiles, each) : 0);
  parallel_ranges(tiles, each, [&](int64_t begin, int64_t end) {
    const Workspace<float> v(points * (end - begin) * t.depth), m(points * (end - begin) * t.channels),
        waste(t.channels);
    WinogradTask task = t;
    task.tile_begin = begin, task.tile_end = end;
    task.v = v.data(), task.m = m.data(), task.waste = waste.data();
    ResultSums sums{};
    if (wanted) sums = moments.begin(begin / each, outputs_of(t, begin, end)), task.sums = &sums;
    winograd_simd().run(task);
  });
  if (wanted) *wanted = moments.all();
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
  const PackedWeights u(f, kTile == 2 ? "winograd_f2x2" : "winograd_f4x4", weights_size(w),
                        [&](float* to) { transform_weights(w, to); });
  t.u = u.data();
  const ConvFinish finish(f.epilogue, t.y);
  t.finish = f.epilogue.any() ? &finish : nullptr;
  convolve(t, c.N, f.moments);
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
  const Workspace<float> u(weights_size(w));
  transform_weights(w, u.data());
  t.u = u.data();
  const ConvFinish add({.residual = t.y}, t.y);
  t.finish = f.add ? &add : nullptr;
  convolve(t, c.N);
}

/// Each part sums some chunks of tiles; the parts are added in their order.
struct WeightParts {
  int64_t tiles, each, chunks, parts;
  int64_t sums_size;       // floats of a part
  bool packs;              // or the factors of a product are read where they lie
  int64_t a_size, b_size;  // of a product's packed factors
};
WeightParts weight_parts(const ConvShape& c, int tile) {
  const PackedSimd& simd = packed_simd();
  WeightParts s{};
  s.tiles = tiles_of(tile, c.N, c.P, c.Q), s.each = kWeightTiles;
  s.chunks = ceil_div(s.tiles, s.each), s.parts = std::clamp<int64_t>(s.chunks, 1, kParts);
  s.sums_size = points_of(tile) * c.K * c.C;
  s.packs = std::max(c.C, c.K) > kMostLying;
  s.a_size = s.packs ? ceil_div(c.K, simd.rows) * simd.rows * s.each : 0;
  s.b_size = s.packs ? ceil_div(c.C, simd.columns) * simd.columns * s.each : 0;
  return s;
}

/// Sums over tiles are products of transformed x and gy at each point.
template <int kTile>
void backward_weight(const ConvBackwardWeight& f) {
  const ConvShape& c = f.shape;
  const int64_t points = points_of(kTile);
  WinogradTask whole{};
  whole.tile = kTile;
  whole.x = static_cast<const float*>(f.x), whole.gy = static_cast<const float*>(f.gy);
  whole.H = c.H, whole.W = c.W, whole.P = c.P, whole.Q = c.Q;
  whole.padding_h = c.padding_h, whole.padding_w = c.padding_w;
  whole.depth = c.C, whole.channels = c.K;
  const Workspace<float> zeros(std::max(c.C, c.K));
  std::fill_n(zeros.data(), std::max(c.C, c.K), 0.f);
  whole.zeros = zeros.data();

  const WeightParts s = weight_parts(c, kTile);
  const int64_t each = s.each, parts = s.parts, sums_size = s.sums_size;
  const Workspace<float> sums(parts * sums_size);
  const PackedSimd& simd = packed_simd();
  parallel_for(parts, [&](int64_t part) {
    float* sum = sums.data() + part * sums_size;
    const Workspace<float> v(points * each * c.C + kPackSlack), m(points * each * c.K + kPackSlack);
    const Workspace<float> a(s.a_size), b(s.b_size);
    std::vector<const float*> line(static_cast<size_t>(each));
    std::vector<float*> out(static_cast<size_t>(c.K));
    WinogradTask t = whole;
    t.v = v.data(), t.m = m.data();
    PackedProduct product{};
    product.rows = c.K, product.columns = c.C;
    if (!s.packs) product.a_step = c.K, product.b_step = c.C;
    product.out = out.data();
    for (int64_t chunk = part * s.chunks / parts; chunk < (part + 1) * s.chunks / parts; ++chunk) {
      t.tile_begin = chunk * each, t.tile_end = std::min(t.tile_begin + each, s.tiles);
      winograd_simd().transform(t);
      const int64_t count = t.tile_end - t.tile_begin;
      product.depth = count, product.b_panel = count * simd.columns;
      for (int64_t point = 0; point < points; ++point) {
        product.a = t.m + point * count * c.K, product.b = t.v + point * count * c.C;
        if (s.packs) {
          for (int64_t i = 0; i < count; ++i) line[static_cast<size_t>(i)] = product.a + i * c.K;
          simd.along(line.data(), count, c.K, simd.rows, a.data(), count * simd.rows);
          for (int64_t i = 0; i < count; ++i) line[static_cast<size_t>(i)] = product.b + i * c.C;
          simd.along(line.data(), count, c.C, simd.columns, b.data(), product.b_panel);
          product.a = a.data(), product.b = b.data();
        }
        for (int64_t k = 0; k < c.K; ++k) out[static_cast<size_t>(k)] = sum + (point * c.K + k) * c.C;
        simd.multiply(product);
      }
      product.add = true;
    }
  });
  parallel_ranges(sums_size, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t e = begin; e < end; ++e) sums.data()[e] += sums.data()[part * sums_size + e];
  });
  parallel_for(c.K, [&](int64_t k) {
    winograd_simd().weight_gradient(kTile, sums.data(), c.K, c.C, k, static_cast<float*>(f.gw));
  });
}

}  // namespace

bool is_winograd(const ConvShape& c, int tile, bool kept) {
  return supports(c) && c.N * c.P * c.Q >= (kept ? kLeastPixelsKept : kLeastPixels) &&
         (tile == 2 || 36 * c.C * c.K <= kMostWeights);
}
bool is_winograd_weight(const ConvShape& c, int tile) {
  return supports(c) && c.N * c.P * c.Q >= kLeastPixels && points_of(tile) * c.C * c.K <= kMostSums;
}

int64_t forward_winograd_workspace(const ConvShape& c, int tile) {
  return convolve_workspace(tile, c.N, c.P, c.Q, c.K, c.C);
}
int64_t backward_input_winograd_workspace(const ConvShape& c, int tile) {
  return convolve_workspace(tile, c.N, c.H, c.W, c.C, c.K);
}
int64_t backward_weight_winograd_workspace(const ConvShape& c, int tile) {
  const WeightParts s = weight_parts(c, tile);
  const int64_t task = points_of(tile) * s.each * (c.C + c.K) + 2 * kPackSlack + s.a_size + s.b_size;
  return (std::max(c.C, c.K) + s.parts * s.sums_size + tasks_at_once(s.parts) * task) * kFloatBytes;
}

void forward_winograd_2(const ConvForward& f) { forward<2>(f); }
void forward_winograd_4(const ConvForward& f) { forward<4>(f); }
void backward_input_winograd_2(const ConvBackwardInput& f) { backward_input<2>(f); }
void backward_input_winograd_4(const ConvBackwardInput& f) { backward_input<4>(f); }
void backward_weight_winograd_2(const ConvBackwardWeight& f) { backward_weight<2>(f); }
void backward_weight_winograd_4(const ConvBackwardWeight& f) { backward_weight<4>(f); }

}  // namespace gradus::cpu
