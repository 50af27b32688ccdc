// Winograd's convolution on CUDA, exact f32, 3x3 windows of stride 1: F(2x2, 3x3) and F(4x4, 3x3). Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", 2016.
//
// A tile of a x a pixels of x (a = t + 2) gives t x t of y with a² multiplications instead of 9 t²: 2.25 times fewer
// for t = 2, 4 times for t = 4.
//
//   y tile  =  A^T [ (G w G^T) * (B^T x B) ] A        * element by element, summed over the channels
//
// Each of the a² elements is a matrix product over tiles and channels of its own, so three passes and cuBLAS do it:
//
//   v [a²][tiles][C] = B^T x B     u [a²][K][C] = G w G^T     m [a²][tiles][K] = v u^T     y = A^T m A
//
// Backward input is the same with gy for x, the windows turned around, and u not transposed. Backward weight is
//
//   gw = G^T [ sum over tiles of (A gy A^T) * (B^T x B) ] G
//
// The passes are bound by memory: v and m are a²/t² times as large as x and y (4 and 2.25), each written and read once.
// They pay from some 64 channels on. Sums round a few times worse than those of the other rungs: about 2 times for t =
// 2, 10 times for t = 4, for A and B hold numbers up to 8.

#include <algorithm>

#include "cuda/allocator.hpp"
#include "cuda/blas.hpp"
#include "cuda/divisor.cuh"
#include "cuda/each.cuh"
#include "ops/conv2d/conv2d_epilogue.cuh"
#include "ops/conv2d/conv2d_rungs.cuh"

namespace gradus::cuda {
namespace {

// ---- the matrices: B^T [a, a], G [a, 3], A^T [t, a]

template <int t>
struct Matrices;
template <>
struct Matrices<2> {
  __device__ static constexpr float bt(int i, int j) {
    constexpr float m[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
    return m[i][j];
  }
  __device__ static constexpr float g(int i, int j) {
    constexpr float m[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
    return m[i][j];
  }
  __device__ static constexpr float at(int i, int j) {
    constexpr float m[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
    return m[i][j];
  }
};
template <>
struct Matrices<4> {
  __device__ static constexpr float bt(int i, int j) {
    constexpr float m[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                               {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
    return m[i][j];
  }
  __device__ static constexpr float g(int i, int j) {
    constexpr float m[6][3] = {{1 / 4.f, 0, 0},
                               {-1 / 6.f, -1 / 6.f, -1 / 6.f},
                               {-1 / 6.f, 1 / 6.f, -1 / 6.f},
                               {1 / 24.f, 1 / 12.f, 1 / 6.f},
                               {1 / 24.f, -1 / 12.f, 1 / 6.f},
                               {0, 0, 1}};
    return m[i][j];
  }
  __device__ static constexpr float at(int i, int j) {
    constexpr float m[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
    return m[i][j];
  }
};

// The matrices, and their transposes, as what transform() asks.
template <int t>
struct BtEntry {
  __device__ constexpr float operator()(int i, int j) const { return Matrices<t>::bt(i, j); }
};
template <int t>
struct AEntry {  // A [a, t]
  __device__ constexpr float operator()(int i, int j) const { return Matrices<t>::at(j, i); }
};
template <int t>
struct AtEntry {
  __device__ constexpr float operator()(int i, int j) const { return Matrices<t>::at(i, j); }
};
template <int t>
struct GEntry {
  __device__ constexpr float operator()(int i, int j) const { return Matrices<t>::g(i, j); }
};
template <int t>
struct GtEntry {  // G^T [3, a]
  __device__ constexpr float operator()(int i, int j) const { return Matrices<t>::g(j, i); }
};

/// total + factor x, where factors of 0 and 1 cost nothing.
__device__ inline float plus_times(float total, float factor, float x) {
  return factor == 0 ? total : factor == 1 ? total + x : factor == -1 ? total - x : total + factor * x;
}

/// y = M x M^T for M [rows, columns] given by entry(i, j).
template <int rows, int columns, class Entry>
__device__ inline void transform(const float (&x)[columns][columns], float (&y)[rows][rows], Entry entry) {
  float half[rows][columns];
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int c = 0; c < columns; ++c) {
      half[i][c] = 0;
#pragma unroll
      for (int j = 0; j < columns; ++j) half[i][c] = plus_times(half[i][c], entry(i, j), x[j][c]);
    }
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int j = 0; j < rows; ++j) {
      y[i][j] = 0;
#pragma unroll
      for (int c = 0; c < columns; ++c) y[i][j] = plus_times(y[i][j], entry(j, c), half[i][c]);
    }
}

// ---- tiles

/// How t x t tiles lie on images [N, H, W, C], and the part of them that is in work.
struct Tiling {
  int H, W, C;
  int corner_h, corner_w;     // the first pixel of the first tile, which may be outside
  Divisor rows, columns;      // tiles of an image
  std::int64_t first, count;  // tiles in work
  std::int64_t all;           // tiles there are; those beyond are zero

  Tiling(std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t h0, std::int64_t w0, std::int64_t tile_rows,
         std::int64_t tile_columns, std::int64_t N)
      : H(static_cast<int>(h)),
        W(static_cast<int>(w)),
        C(static_cast<int>(c)),
        corner_h(static_cast<int>(h0)),
        corner_w(static_cast<int>(w0)),
        rows(static_cast<int>(tile_rows)),
        columns(static_cast<int>(tile_columns)),
        first(0),
        count(0),
        all(N * tile_rows * tile_columns) {}
};

/// out [size²][count][C] = M tile M^T of tiles of `size_in` pixels, step t, zero outside the images; M [size, size_in].
template <int t, int size, int size_in, class Entry>
void transform_tiles(const Tiling& tiling, const float* x, float* out, Entry entry) {
  each(tiling.count * tiling.C, [=] __device__(std::int64_t i) {
    const Tiling& g = tiling;
    const std::int64_t tile = g.first + i / g.C;
    const int c = static_cast<int>(i % g.C);
    float in[size_in][size_in], result[size][size];
    const int at = static_cast<int>(tile), row = at / g.columns, n = row / g.rows;
    const int h0 = g.corner_h + row % g.rows * t, w0 = g.corner_w + at % g.columns * t;
#pragma unroll
    for (int h = 0; h < size_in; ++h)
#pragma unroll
      for (int w = 0; w < size_in; ++w) {
        const bool inside = tile < g.all && h0 + h >= 0 && h0 + h < g.H && w0 + w >= 0 && w0 + w < g.W;
        in[h][w] = inside ? x[(static_cast<std::int64_t>(n * g.H + h0 + h) * g.W + w0 + w) * g.C + c] : 0.f;
      }
    transform<size, size_in>(in, result, entry);
#pragma unroll
    for (int p = 0; p < size * size; ++p) out[p * g.count * g.C + i] = result[p / size][p % size];
  });
}

/// u [a²][K][C] = G w G^T; `turned`: of the windows turned around.
template <int t>
void transform_weights(std::int64_t K, std::int64_t C, const float* w, float* u, bool turned) {
  constexpr int a = t + 2;
  each(K * C, [=] __device__(std::int64_t i) {
    const std::int64_t k = i / C, c = i % C;
    float in[3][3], result[a][a];
#pragma unroll
    for (int tap = 0; tap < 9; ++tap) in[tap / 3][tap % 3] = w[(k * 9 + (turned ? 8 - tap : tap)) * C + c];
    transform<a, 3>(in, result, GEntry<t>{});
#pragma unroll
    for (int p = 0; p < a * a; ++p) u[p * K * C + i] = result[p / a][p % a];
  });
}

/// y = A^T m A and the epilogue, which backward input has none of; m [a²][count][channels]; `tiling` is that of y.
template <int t>
void results_of_tiles(const Tiling& tiling, const float* m, const Epilogue<float>& epilogue, float* y) {
  constexpr int a = t + 2;
  each(tiling.count * tiling.C, [=] __device__(std::int64_t i) {
    const Tiling& g = tiling;
    const std::int64_t tile = g.first + i / g.C;
    if (tile >= g.all) return;
    const int c = static_cast<int>(i % g.C);
    float in[a][a], result[t][t];
#pragma unroll
    for (int p = 0; p < a * a; ++p) in[p / a][p % a] = m[p * g.count * g.C + i];
    transform<t, a>(in, result, AtEntry<t>{});
    const int at = static_cast<int>(tile), row = at / g.columns, n = row / g.rows;
    const int h0 = row % g.rows * t, w0 = at % g.columns * t;
#pragma unroll
    for (int h = 0; h < t; ++h)
#pragma unroll
      for (int w = 0; w < t; ++w)
        if (h0 + h < g.H && w0 + w < g.W) {
          const std::int64_t to = (static_cast<std::int64_t>(n * g.H + h0 + h) * g.W + w0 + w) * g.C + c;
          y[to] = epilogue(result[h][w], c, to);
        }
  });
}

/// gw = G^T (sum over parts of m) G; m [a²][parts][K][C].
template <int t>
void results_of_weights(std::int64_t K, std::int64_t C, std::int64_t parts, const float* m, float* gw) {
  constexpr int a = t + 2;
  each(K * C, [=] __device__(std::int64_t i) {
    float in[a][a] = {}, result[3][3];
    const float* from = m + i;
    for (std::int64_t part = 0; part < parts; ++part, from += K * C)
#pragma unroll
      for (int p = 0; p < a * a; ++p) in[p / a][p % a] += from[p * parts * K * C];
    transform<3, a>(in, result, GtEntry<t>{});
    const std::int64_t k = i / C, c = i % C;
#pragma unroll
    for (int tap = 0; tap < 9; ++tap) gw[(k * 9 + tap) * C + c] = result[tap / 3][tap % 3];
  });
}

// ---- the three directions

std::int64_t ceil_div(std::int64_t n, std::int64_t d) { return (n + d - 1) / d; }

/// v and m together take at most so many floats (256 MiB): larger problems are done some tiles at a time.
constexpr std::int64_t kMostFloats = 64 << 20;

/// y [N,P,Q,out] from x [N,H,W,in] and transformed weights, forward or backward input.
struct Pass {
  std::int64_t N, H, W, in, P, Q, out, padding_h, padding_w;
  const float* x;
  float* y;
  Epilogue<float> epilogue;
};
template <int t>
void convolve(const Pass& pass, const float* u, bool u_transposed) {
  constexpr int a = t + 2;
  const std::int64_t rows = ceil_div(pass.P, t), columns = ceil_div(pass.Q, t);
  Tiling x(pass.H, pass.W, pass.in, -pass.padding_h, -pass.padding_w, rows, columns, pass.N);
  Tiling y(pass.P, pass.Q, pass.out, 0, 0, rows, columns, pass.N);
  const std::int64_t most = std::max<std::int64_t>(kMostFloats / (a * a * (pass.in + pass.out)), 1);
  const std::int64_t at_once = std::min(x.all, most);
  const DeviceWorkspace<float> v(a * a * at_once * pass.in), m(a * a * at_once * pass.out);
  for (std::int64_t first = 0; first < x.all; first += at_once) {
    x.first = y.first = first;
    x.count = y.count = std::min(at_once, x.all - first);
    transform_tiles<t, a, a>(x, pass.x, v.data(), BtEntry<t>{});
    gemm(false, u_transposed, x.count, pass.out, pass.in, 1, v.data(), pass.in, u, u_transposed ? pass.in : pass.out, 0,
         m.data(), pass.out, {a * a, x.count * pass.in, pass.in * pass.out, x.count * pass.out});
    results_of_tiles<t>(y, m.data(), pass.epilogue, pass.y);
  }
}

template <int t>
void forward(const ConvForward& p) {
  const ConvShape& c = p.shape;
  const DeviceWorkspace<float> u((t + 2) * (t + 2) * c.K * c.C);
  transform_weights<t>(c.K, c.C, static_cast<const float*>(p.w), u.data(), false);
  convolve<t>({c.N, c.H, c.W, c.C, c.P, c.Q, c.K, c.padding_h, c.padding_w, static_cast<const float*>(p.x),
               static_cast<float*>(p.y), Epilogue<float>(p)},
              u.data(), true);
}

template <int t>
void backward_input(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  const DeviceWorkspace<float> u((t + 2) * (t + 2) * c.K * c.C);
  transform_weights<t>(c.K, c.C, static_cast<const float*>(p.w), u.data(), true);
  convolve<t>({c.N, c.P, c.Q, c.K, c.H, c.W, c.C, 2 - c.padding_h, 2 - c.padding_w, static_cast<const float*>(p.gy),
               static_cast<float*>(p.gx), Epilogue<float>(ConvForward{})},
              u.data(), false);
}

template <int t>
void backward_weight(const ConvBackwardWeight& p) {
  constexpr int a = t + 2;
  const ConvShape& c = p.shape;
  const std::int64_t rows = ceil_div(c.P, t), columns = ceil_div(c.Q, t);
  Tiling x(c.H, c.W, c.C, -c.padding_h, -c.padding_w, rows, columns, c.N);
  Tiling gy(c.P, c.Q, c.K, 0, 0, rows, columns, c.N);
  // Parts of equal length run side by side in one batch; the last may end in tiles of zeros.
  const std::int64_t blocks = a * a * ceil_div(c.K, 128) * ceil_div(c.C, 128);
  const std::int64_t parts = std::clamp<std::int64_t>(std::min(x.all / 512, 512 / blocks), 1, 64);
  const std::int64_t at_once = std::min(x.all, std::max<std::int64_t>(kMostFloats / (a * a * (c.C + c.K)), parts));
  const std::int64_t part = ceil_div(at_once, parts), together = part * parts;
  const DeviceWorkspace<float> v(a * a * together * c.C), z(a * a * together * c.K), m(a * a * parts * c.K * c.C);
  for (std::int64_t first = 0; first < x.all; first += together) {
    x.first = gy.first = first;
    x.count = gy.count = together;
    transform_tiles<t, a, a>(x, static_cast<const float*>(p.x), v.data(), BtEntry<t>{});
    transform_tiles<t, a, t>(gy, static_cast<const float*>(p.gy), z.data(), AEntry<t>{});
    gemm(true, false, c.K, c.C, part, 1, z.data(), c.K, v.data(), c.C, first == 0 ? 0 : 1, m.data(), c.C,
         {a * a * parts, part * c.K, part * c.C, c.K * c.C});
  }
  results_of_weights<t>(c.K, c.C, parts, m.data(), static_cast<float*>(p.gw));
}

/// From so few channels and pixels on the passes over memory cost more than they save.
constexpr std::int64_t kLeastChannels = 32, kLeastPixels = 256;

template <class Problem>
bool takes(const Problem& p) {
  const ConvShape& c = p.shape;
  constexpr std::int64_t kLargest = 0x3fffffff;
  return p.dtype == DType::f32 && !tf32_allowed() && c.R == 3 && c.S == 3 && c.stride_h == 1 && c.stride_w == 1 &&
         c.dilation_h == 1 && c.dilation_w == 1 && c.groups == 1 && c.padding_h <= 2 && c.padding_w <= 2 &&
         c.C >= kLeastChannels && c.K >= kLeastChannels && c.N * c.P * c.Q >= kLeastPixels &&
         c.N * c.H * c.W <= kLargest && c.N * c.P * c.Q <= kLargest;
}

}  // namespace

bool takes_winograd_f2x2(const ConvForward& p) { return takes(p); }
bool takes_winograd_f2x2(const ConvBackwardInput& p) { return takes(p); }
bool takes_winograd_f2x2(const ConvBackwardWeight& p) { return takes(p); }
bool takes_winograd_f4x4(const ConvForward& p) { return takes(p); }
bool takes_winograd_f4x4(const ConvBackwardInput& p) { return takes(p); }
bool takes_winograd_f4x4(const ConvBackwardWeight& p) { return takes(p); }
void run_winograd_f2x2(const ConvForward& p) { forward<2>(p); }
void run_winograd_f2x2(const ConvBackwardInput& p) { backward_input<2>(p); }
void run_winograd_f2x2(const ConvBackwardWeight& p) { backward_weight<2>(p); }
void run_winograd_f4x4(const ConvForward& p) { forward<4>(p); }
void run_winograd_f4x4(const ConvBackwardInput& p) { backward_input<4>(p); }
void run_winograd_f4x4(const ConvBackwardWeight& p) { backward_weight<4>(p); }

}  // namespace gradus::cuda
