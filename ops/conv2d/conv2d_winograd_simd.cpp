// Winograd's convolution, 3x3 stride 1 (Lavin & Gray 2015, "Fast Algorithms for Convolutional Neural Networks",
// section 4): Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A on tiles of M x M outputs.
//
// The product ⊙, summed over channels, is (M+2)² matrix products; per output they need 9 M² / (M+2)² times fewer
// multiply-adds than the direct kernel: 2.25 for M = 2, 4 for M = 4. The transforms are additions over all channels of
// a tile; they bound the gain where channels are few. Larger tiles lose accuracy: the interpolation points of M = 4 are
// 0, ±1, ±2, ∞, and their powers amplify rounding about tenfold.

#include <algorithm>

#include "core/simd.hpp"
#include "ops/conv2d/conv2d_direct.hpp"
#include "ops/conv2d/conv2d_tile.hpp"
#include "ops/conv2d/conv2d_winograd.hpp"

namespace gradus::GRADUS_ISA {
namespace {

// One-dimensional transforms, in place or from T to M values: Bᵀ, G and Aᵀ of the paper; and the transposes A and Gᵀ,
// of which the weight gradient is made: gw = Gᵀ [ Σ over tiles of (Bᵀ d B) ⊙ (A gy Aᵀ) ] G.
template <int M>
struct Transform;

template <>
struct Transform<2> {
  static void input(VecN (&d)[4]) {
    const VecN a = d[0] - d[2], b = d[1] + d[2], c = d[2] - d[1], e = d[1] - d[3];
    d[0] = a, d[1] = b, d[2] = c, d[3] = e;
  }
  static void weight(const VecN (&g)[3], VecN (&u)[4]) {
    const VecN even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    u[0] = g[0], u[1] = even + odd, u[2] = even - odd, u[3] = g[2];
  }
  static void output(const VecN (&m)[4], VecN (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
  static void output_grad(const VecN (&y)[2], VecN (&m)[4]) {
    m[0] = y[0], m[1] = y[0] + y[1], m[2] = y[0] - y[1], m[3] = -y[1];
  }
  static void weight_grad(const VecN (&u)[4], VecN (&g)[3]) {
    const VecN even = 0.5f * (u[1] + u[2]);
    g[0] = u[0] + even, g[1] = 0.5f * (u[1] - u[2]), g[2] = even + u[3];
  }
};

template <>
struct Transform<4> {
  static void input(VecN (&d)[6]) {
    const VecN even1 = d[4] - 4.f * d[2], odd1 = d[3] - 4.f * d[1];
    const VecN even2 = d[4] - d[2], odd2 = 2.f * (d[3] - d[1]);
    d[0] = 4.f * d[0] - 5.f * d[2] + d[4];
    d[5] = 4.f * d[1] - 5.f * d[3] + d[5];
    d[1] = even1 + odd1, d[2] = even1 - odd1;
    d[3] = even2 + odd2, d[4] = even2 - odd2;
  }
  static void weight(const VecN (&g)[3], VecN (&u)[6]) {
    const VecN even1 = (-1.f / 6) * (g[0] + g[2]), odd1 = (-1.f / 6) * g[1];
    const VecN even2 = (1.f / 24) * g[0] + (1.f / 6) * g[2], odd2 = (1.f / 12) * g[1];
    u[0] = 0.25f * g[0];
    u[1] = even1 + odd1, u[2] = even1 - odd1;
    u[3] = even2 + odd2, u[4] = even2 - odd2;
    u[5] = g[2];
  }
  static void output(const VecN (&m)[6], VecN (&y)[4]) {
    const VecN sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    y[0] = m[0] + sum1 + sum2;
    y[1] = difference1 + 2.f * difference2;
    y[2] = sum1 + 4.f * sum2;
    y[3] = difference1 + 8.f * difference2 + m[5];
  }
  static void output_grad(const VecN (&y)[4], VecN (&m)[6]) {
    const VecN even1 = y[0] + y[2], odd1 = y[1] + y[3], even2 = y[0] + 4.f * y[2], odd2 = 2.f * y[1] + 8.f * y[3];
    m[0] = y[0];
    m[1] = even1 + odd1, m[2] = even1 - odd1;
    m[3] = even2 + odd2, m[4] = even2 - odd2;
    m[5] = y[3];
  }
  static void weight_grad(const VecN (&u)[6], VecN (&g)[3]) {
    const VecN sum1 = (-1.f / 6) * (u[1] + u[2]), difference1 = (1.f / 6) * (u[2] - u[1]);
    const VecN sum2 = u[3] + u[4], difference2 = u[3] - u[4];
    g[0] = 0.25f * u[0] + sum1 + (1.f / 24) * sum2;
    g[1] = difference1 + (1.f / 12) * difference2;
    g[2] = sum1 + (1.f / 6) * sum2 + u[5];
  }
};

/// Tiles of a register block: divisors of 12, of which conv2d_winograd.cpp's tasks are multiples.
template <int V>
constexpr int kRows = kTileRows<V> >= 12 ? 12 : 6;

/// Channels of a full block of transformed weights.
std::int64_t block_of(std::int64_t channels) { return even_block(channels, kLanes, kTileVectors); }

/// u[point][block][depth][lane] = G g Gᵀ for the vector of channels from k on.
template <int M>
void transform_weights(const WinogradWeights& t, std::int64_t k) {
  constexpr int T = M + 2;
  const std::int64_t block = block_of(t.channels), first = k / block * block;
  const std::int64_t lanes = block_lanes(t.channels, block, kLanes, k / block), point_step = t.channels * t.depth;
  for (std::int64_t d = 0; d < t.depth; ++d) {
    VecN half[3][T];  // rows transformed
    for (int r = 0; r < 3; ++r) {
      VecN g[3];
      for (int s = 0; s < 3; ++s) {
        float lane[kLanes];
        for (int l = 0; l < kLanes; ++l)
          lane[l] = t.w[(k + l) * t.channel_step + t.tap_offset[r * 3 + s] + d * t.depth_step];
        g[s] = load(lane);
      }
      Transform<M>::weight(g, half[r]);
    }
    for (int j = 0; j < T; ++j) {
      VecN u[T];
      Transform<M>::weight({half[0][j], half[1][j], half[2][j]}, u);
      for (int i = 0; i < T; ++i)
        store(t.u + (i * T + j) * point_step + first * t.depth + d * lanes + (k - first), u[i]);
    }
  }
}

/// v[point][tile][channel] = Bᵀ d B of one tile; pixel[] are its T x T input pixels, of zeros where outside.
template <int M>
void transform_input(const float* const* pixel, std::int64_t channels, float* v, std::int64_t point_step) {
  constexpr int T = M + 2;
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    VecN half[T][T];
    for (int j = 0; j < T; ++j) {
      VecN d[T];
#pragma GCC unroll 6
      for (int i = 0; i < T; ++i) d[i] = load(pixel[i * T + j] + c);
      Transform<M>::input(d);
#pragma GCC unroll 6
      for (int i = 0; i < T; ++i) half[i][j] = d[i];
    }
    for (int i = 0; i < T; ++i) {
      Transform<M>::input(half[i]);
#pragma GCC unroll 6
      for (int j = 0; j < T; ++j) store(v + (i * T + j) * point_step + c, half[i][j]);
    }
  }
}

/// Aᵀ m A of one tile, plus bias, to its M x M output pixels. `waste` is the pixel of those beyond the edge.
template <int M>
void transform_output(const float* m, std::int64_t point_step, std::int64_t channels, const float* bias,
                      const ConvFinish* finish, float* const* pixel, const float* waste) {
  constexpr int T = M + 2;
  for (std::int64_t k = 0; k < channels; k += kLanes) {
    const VecN start = bias ? load(bias + k) : VecN{};
    VecN half[M][T];
    for (int j = 0; j < T; ++j) {
      VecN column[T], y[M];
#pragma GCC unroll 6
      for (int i = 0; i < T; ++i) column[i] = load(m + (i * T + j) * point_step + k);
      Transform<M>::output(column, y);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) half[i][j] = y[i];
    }
    for (int i = 0; i < M; ++i) {
      VecN y[M];
      Transform<M>::output(half[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < M; ++j) {
        float* to = pixel[i * M + j];
        VecN result = y[j] + start;
        if (finish && to != waste) result = finished(result, *finish, k, to + k, kLanes);
        store(to + k, result);
      }
    }
  }
}

/// m[tile][block's lanes] = Σ_d v[tile][d] u[d][lanes] for PX tiles.
template <int V, int PX>
void product(const float* v, std::int64_t depth, const float* u, float* m, std::int64_t channels) {
  VecN acc[PX][V] = {};
#pragma GCC unroll 4
  for (std::int64_t d = 0; d < depth; ++d, u += V * kLanes) {
    VecN weight[V];
#pragma GCC unroll 4
    for (int w = 0; w < V; ++w) weight[w] = load(u + w * kLanes);
#pragma GCC unroll 32
    for (int j = 0; j < PX; ++j)
#pragma GCC unroll 4
      for (int w = 0; w < V; ++w) acc[j][w] += weight[w] * v[j * depth + d];
  }
#pragma GCC unroll 32
  for (int j = 0; j < PX; ++j)
#pragma GCC unroll 4
    for (int w = 0; w < V; ++w) store(m + j * channels + w * kLanes, acc[j][w]);
}

template <int V>
void block_products(const WinogradTask& t, const float* v, const float* u, float* m, std::int64_t tiles) {
  std::int64_t j = 0;
  for (; j + kRows<V> <= tiles; j += kRows<V>)
    product<V, kRows<V>>(v + j * t.depth, t.depth, u, m + j * t.channels, t.channels);
  for (; j + 4 <= tiles; j += 4) product<V, 4>(v + j * t.depth, t.depth, u, m + j * t.channels, t.channels);
  for (; j < tiles; ++j) product<V, 1>(v + j * t.depth, t.depth, u, m + j * t.channels, t.channels);
}

void products(const WinogradTask& t, const float* v, const float* u, float* m, std::int64_t tiles) {
  const std::int64_t block = block_of(t.channels);
  for (std::int64_t k = 0; k < t.channels; k += block, u += t.depth * block)
    with_vectors(block_lanes(t.channels, block, kLanes, k / block) / kLanes,
                 [&](auto vectors) { block_products<vectors>(t, v, u, m + k, tiles); });
}

/// m[point][tile][channel] = A gy Aᵀ of one tile; pixel[] are its M x M pixels of gy, of zeros where outside.
template <int M>
void transform_output_grad(const float* const* pixel, std::int64_t channels, float* m, std::int64_t point_step) {
  constexpr int T = M + 2;
  for (std::int64_t k = 0; k < channels; k += kLanes) {
    VecN half[T][M];
    for (int j = 0; j < M; ++j) {
      VecN y[M], column[T];
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) y[i] = load(pixel[i * M + j] + k);
      Transform<M>::output_grad(y, column);
#pragma GCC unroll 6
      for (int i = 0; i < T; ++i) half[i][j] = column[i];
    }
    for (int i = 0; i < T; ++i) {
      VecN row[T];
      Transform<M>::output_grad(half[i], row);
#pragma GCC unroll 6
      for (int j = 0; j < T; ++j) store(m + (i * T + j) * point_step + k, row[j]);
    }
  }
}

/// Image, row and column of a tile's first output.
struct Place {
  std::int64_t n, p, q;
};
template <int M>
Place place(const WinogradTask& t, std::int64_t tile) {
  const std::int64_t tile_rows = (t.P + M - 1) / M, tile_columns = (t.Q + M - 1) / M;
  return {tile / tile_columns / tile_rows, tile / tile_columns % tile_rows * M, tile % tile_columns * M};
}

/// The count x count pixels of an image [height, width, channels] from (row, column) on; `outside` beyond its edges.
template <class Float>
void list_pixels(Float* image, std::int64_t height, std::int64_t width, std::int64_t channels, std::int64_t row,
                 std::int64_t column, int count, Float* outside, Float** pixel) {
  for (int i = 0; i < count; ++i) {
    const bool row_inside = row + i >= 0 && row + i < height;
    Float* at = row_inside ? image + ((row + i) * width + column) * channels : outside;
    for (int j = 0; j < count; ++j, at += channels)
      pixel[i * count + j] = row_inside && column + j >= 0 && column + j < width ? at : outside;
  }
}

template <int M>
void transform_inputs(const WinogradTask& t) {
  constexpr int T = M + 2;
  const std::int64_t tiles = t.tile_end - t.tile_begin;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const Place at = place<M>(t, t.tile_begin + tile);
    const float* pixel[T * T];
    list_pixels(t.x + at.n * t.H * t.W * t.depth, t.H, t.W, t.depth, at.p - t.padding_h, at.q - t.padding_w, T, t.zeros,
                pixel);
    transform_input<M>(pixel, t.depth, t.v + tile * t.depth, tiles * t.depth);
  }
}

template <int M>
void run(const WinogradTask& t) {
  constexpr int T = M + 2;
  const std::int64_t tiles = t.tile_end - t.tile_begin, v_step = tiles * t.depth, m_step = tiles * t.channels;
  transform_inputs<M>(t);
  for (int point = 0; point < T * T; ++point)
    products(t, t.v + point * v_step, t.u + point * t.depth * t.channels, t.m + point * m_step, tiles);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const Place at = place<M>(t, t.tile_begin + tile);
    float* pixel[M * M];
    list_pixels(t.y + at.n * t.P * t.Q * t.channels, t.P, t.Q, t.channels, at.p, at.q, M, t.waste, pixel);
    transform_output<M>(t.m + tile * t.channels, m_step, t.channels, t.bias, t.finish, pixel, t.waste);
    if (!t.sums) continue;
    const auto inside = static_cast<int>(std::remove(pixel, pixel + M * M, t.waste) - pixel);
    add_up(*t.sums, 0, t.channels, 0, inside, [&](int j) { return pixel[j]; });
  }
}

/// v and m of the weight gradient, from x and gy.
template <int M>
void transform_both(const WinogradTask& t) {
  const std::int64_t tiles = t.tile_end - t.tile_begin;
  transform_inputs<M>(t);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const Place at = place<M>(t, t.tile_begin + tile);
    const float* pixel[M * M];
    list_pixels(t.gy + at.n * t.P * t.Q * t.channels, t.P, t.Q, t.channels, at.p, at.q, M, t.zeros, pixel);
    transform_output_grad<M>(pixel, t.channels, t.m + tile * t.channels, tiles * t.channels);
  }
}

/// gw[k][tap][d] = Gᵀ S G, from sums S [point][channels][depth].
template <int M>
void weight_gradient(const float* sums, std::int64_t channels, std::int64_t depth, std::int64_t k, float* gw) {
  constexpr int T = M + 2;
  for (std::int64_t d = 0; d < depth; d += kLanes) {
    const float* s = sums + k * depth + d;
    VecN half[3][T];
    for (int j = 0; j < T; ++j) {
      VecN u[T], g[3];
      for (int i = 0; i < T; ++i) u[i] = load(s + (i * T + j) * channels * depth);
      Transform<M>::weight_grad(u, g);
      for (int i = 0; i < 3; ++i) half[i][j] = g[i];
    }
    for (int r = 0; r < 3; ++r) {
      VecN g[3];
      Transform<M>::weight_grad(half[r], g);
      for (int c = 0; c < 3; ++c) store(gw + (k * 9 + r * 3 + c) * depth + d, g[c]);
    }
  }
}

void weights(const WinogradWeights& t, std::int64_t group) {
  for (std::int64_t k = group * 16; k < group * 16 + 16; k += kLanes)
    t.tile == 2 ? transform_weights<2>(t, k) : transform_weights<4>(t, k);
}

void run_any(const WinogradTask& t) { t.tile == 2 ? run<2>(t) : run<4>(t); }
void transform_any(const WinogradTask& t) { t.tile == 2 ? transform_both<2>(t) : transform_both<4>(t); }
void weight_gradient_any(int tile, const float* sums, std::int64_t channels, std::int64_t depth, std::int64_t k,
                         float* gw) {
  tile == 2 ? weight_gradient<2>(sums, channels, depth, k, gw) : weight_gradient<4>(sums, channels, depth, k, gw);
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(WinogradSimd, winograd_simd,
                  {.buffer = kLanes == 16 ? 160 << 10 : 64 << 10,
                   .weights = weights,
                   .run = run_any,
                   .transform = transform_any,
                   .weight_gradient = weight_gradient_any})
