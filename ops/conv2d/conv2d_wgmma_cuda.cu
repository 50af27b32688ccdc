// conv2d in bf16 on Hopper: implicit GEMM by the pipeline of cuda/gemm_wgmma.cuh, where TMA does the gathering. Its
// im2col mode brings, for one tap of the window, 64 channels of 64 or 128 neighbouring output pixels, the padding as
// zeros; no thread computes an address.
//
//                    rows M          columns N    depth, 64 at a time         a                 b
//   forward          N P Q pixels    K outputs    taps, channels of each      x, gathered       weight
//   backward input   N H W pixels    C inputs     taps, outputs of each       gy, gathered      weight, across
//   backward weight  K outputs       C of a tap   N P Q pixels                gy, across        x, gathered, across
//
// Backward input is a forward convolution of gy with the window turned round, if the stride is 1. Backward weight cuts
// its depth into parts and adds them in order, as everywhere (split-K).
//
// The driver's documentation and NVIDIA's own use of it disagree on whether a map's corners are listed h or w first; so
// only windows that are alike along h and w (in padding and extent) are taken.

#include <algorithm>

#include "cuda/allocator.hpp"
#include "cuda/each.cuh"
#include "cuda/gemm_wgmma.cuh"
#include "ops/conv2d/conv2d_epilogue.cuh"
#include "ops/conv2d/conv2d_rungs.cuh"

namespace gradus::cuda {
namespace {

using ptx::Major;

/// An output pixel as TMA wants it: its picture, and its window's corner there.
struct Pixels {
  int P, Q, stride_h, stride_w, lower;
  __device__ void load(char* tile, const CUtensorMap* map, ptx::Mbarrier* full, int channel, std::int64_t pixel,
                       int tap_h, int tap_w) const {
    const std::int64_t row = pixel / Q;
    const int q = static_cast<int>(pixel % Q), p = static_cast<int>(row % P), n = static_cast<int>(row / P);
    ptx::tma_load_im2col(tile, map, full, channel, q * stride_w + lower, p * stride_h + lower, n, tap_w, tap_h);
  }
};

struct ForwardSource {
  static constexpr Major kMajorA = Major::depth, kMajorB = Major::depth;
  CUtensorMap x_map, w_map;
  Pixels pixels;
  std::int64_t m, n;
  int steps, blocks, S, dilation_h, dilation_w, depth, K;  // blocks of 64 channels
  Epilogue<bf16> epilogue;
  __nv_bfloat16* y;

  explicit ForwardSource(const ConvForward& p) : epilogue(p), y(static_cast<__nv_bfloat16*>(p.y)) {}

  __device__ void load_a(char* tile, ptx::Mbarrier* full, int m0, int step) const {
    const int tap = step / blocks, channel = step % blocks * wgmma::kDepth;
    pixels.load(tile, &x_map, full, static_cast<int>(blockIdx.z) * depth + channel, m0, tap / S * dilation_h,
                tap % S * dilation_w);
  }
  template <int kN>
  __device__ void load_b(char* tile, ptx::Mbarrier* full, int n0, int step) const {
    ptx::tma_load_3d(tile, &w_map, full, step % blocks * wgmma::kDepth, step / blocks,
                     static_cast<int>(blockIdx.z * n) + n0);
  }
  __device__ void store(std::int64_t pixel, std::int64_t k, float first, float second) const {
    const std::int64_t group = blockIdx.z * n, row = pixel * K + group;
    first = epilogue(first, group + k, row + k);
    if (k + 1 < n) second = epilogue(second, group + k + 1, row + k + 1);
    store_pair(y + row, k, n, first, second);
  }
};

struct BackwardInputSource {
  static constexpr Major kMajorA = Major::depth, kMajorB = Major::across;
  CUtensorMap gy_map, w_map;
  Pixels pixels;  // of x
  std::int64_t m, n;
  int steps, blocks, R, S, dilation_h, dilation_w, width, C;  // blocks of 64 outputs
  __nv_bfloat16* gx;

  __device__ void load_a(char* tile, ptx::Mbarrier* full, int m0, int step) const {
    const int tap = step / blocks;
    pixels.load(tile, &gy_map, full, static_cast<int>(blockIdx.z) * width + step % blocks * wgmma::kDepth, m0,
                (R - 1 - tap / S) * dilation_h, (S - 1 - tap % S) * dilation_w);
  }
  template <int kN>
  __device__ void load_b(char* tile, ptx::Mbarrier* full, int n0, int step) const {
#pragma unroll
    for (int i = 0; i < kN; i += 64)
      ptx::tma_load_3d(tile + i / 64 * wgmma::kTile, &w_map, full, n0 + i, step / blocks,
                       static_cast<int>(blockIdx.z) * width + step % blocks * wgmma::kDepth);
  }
  __device__ void store(std::int64_t pixel, std::int64_t c, float first, float second) const {
    store_pair(gx + pixel * C + blockIdx.z * n, c, n, first, second);
  }
};

struct BackwardWeightSource {
  static constexpr Major kMajorA = Major::across, kMajorB = Major::across;
  CUtensorMap gy_map, x_map;
  Pixels pixels;
  std::int64_t m, n;  // outputs, inputs of a group
  int steps, taps, groups, S, dilation_h, dilation_w;
  std::int64_t size;
  float* partial;  // [parts][K][taps][C / groups]

  // blockIdx.z = (part * groups + group) * taps + tap
  __device__ int tap() const { return static_cast<int>(blockIdx.z) % taps; }
  __device__ int group() const { return static_cast<int>(blockIdx.z) / taps % groups; }
  __device__ int part() const { return static_cast<int>(blockIdx.z) / taps / groups; }
  __device__ std::int64_t pixel(int step) const {
    return (static_cast<std::int64_t>(part()) * steps + step) * wgmma::kDepth;
  }
  __device__ void load_a(char* tile, ptx::Mbarrier* full, int m0, int step) const {
#pragma unroll
    for (int i = 0; i < wgmma::kM; i += 64)
      ptx::tma_load_2d(tile + i / 64 * wgmma::kTile, &gy_map, full, static_cast<int>(group() * m) + m0 + i,
                       static_cast<int>(pixel(step)));
  }
  template <int kN>
  __device__ void load_b(char* tile, ptx::Mbarrier* full, int n0, int step) const {
#pragma unroll
    for (int i = 0; i < kN; i += 64)
      pixels.load(tile + i / 64 * wgmma::kTile, &x_map, full, static_cast<int>(group() * n) + n0 + i, pixel(step),
                  tap() / S * dilation_h, tap() % S * dilation_w);
  }
  __device__ void store(std::int64_t k, std::int64_t c, float first, float second) const {
    float* row = partial + part() * size + ((group() * m + k) * taps + tap()) * n;
    row[c] = first;
    if (c + 1 < n) row[c + 1] = second;
  }
};

// ---- which problems

bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }
std::int64_t reach(const ConvShape& c) { return c.dilation_h * (c.R - 1); }  // of a window, beyond its corner

/// TMA can walk the windows of a picture with `channels`, of which a group has `depth`.
bool tma_windows(const ConvShape& c, std::int64_t channels, std::int64_t depth, std::int64_t lower,
                 std::int64_t upper) {
  return c.padding_h == c.padding_w && reach(c) == c.dilation_w * (c.S - 1) && reach(c) <= 255 && c.stride_h <= 8 &&
         c.stride_w <= 8 && channels % 8 == 0 && (c.groups == 1 || depth % wgmma::kDepth == 0) && lower >= -128 &&
         lower <= 127 && upper >= -128 && upper <= 127;
}
template <class Problem>
bool takes(const Problem& p) {
  const ConvShape& c = p.shape;
  constexpr std::int64_t kLargest = 0x7fffff00;
  return p.dtype == DType::bf16 && c.N > 0 && c.K > 0 && c.P > 0 && c.Q > 0 && c.C > 0 && c.H > 0 && c.W > 0 &&
         c.N * c.P * c.Q <= kLargest && c.N * c.H * c.W <= kLargest && c.groups <= 65535;
}

std::int64_t blocks_of(std::int64_t channels) { return (channels + wgmma::kDepth - 1) / wgmma::kDepth; }

/// weight [K, R, S, depth] as {depth, taps, K}.
CUtensorMap weight_map(const ConvShape& c, const void* w, const std::vector<int>& box) {
  return tiled_map(DType::bf16, w, {c.group_depth(), c.R * c.S, c.K}, {c.group_depth(), c.R * c.S * c.group_depth()},
                   box, 128);
}
/// x under the windows of a forward convolution.
CUtensorMap windows_of_x(const ConvShape& c, const void* x, int rows) {
  const Windows w{c.N,
                  c.H,
                  c.W,
                  c.C,
                  static_cast<int>(-c.padding_h),
                  static_cast<int>(c.padding_h - reach(c)),
                  static_cast<int>(c.stride_h),
                  static_cast<int>(c.stride_w)};
  return im2col_map(DType::bf16, x, w, wgmma::kDepth, rows, 128);
}
Pixels pixels_of(const ConvShape& c) {
  return {static_cast<int>(c.P), static_cast<int>(c.Q), static_cast<int>(c.stride_h), static_cast<int>(c.stride_w),
          static_cast<int>(-c.padding_h)};
}

/// Parts of at least 16 steps, as many as give the GPU some hundred tiles.
std::int64_t parts_of(const ConvShape& c) {
  const std::int64_t tiles =
      (c.group_width() + wgmma::kM - 1) / wgmma::kM * blocks_of(c.group_depth()) * c.R * c.S * c.groups;
  const std::int64_t useful = blocks_of(c.N * c.P * c.Q) / 16;
  return std::clamp<std::int64_t>(std::min(useful, 256 / tiles), 1, 65535 / (c.R * c.S * c.groups));
}

}  // namespace

bool takes_wgmma(const ConvForward& p) {
  const ConvShape& c = p.shape;
  return takes(p) && tma_windows(c, c.C, c.group_depth(), -c.padding_h, c.padding_h - reach(c)) &&
         c.group_depth() % 8 == 0 && c.group_width() <= 64 * 65535 && aligned(p.x) && aligned(p.w) && hopper_kernels();
}

bool takes_wgmma(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  return takes(p) && c.stride_h == 1 && c.stride_w == 1 &&
         tma_windows(c, c.K, c.group_width(), c.padding_h - reach(c), -c.padding_h) && c.group_depth() % 8 == 0 &&
         c.group_depth() <= 64 * 65535 && aligned(p.gy) && aligned(p.w) && hopper_kernels();
}

bool takes_wgmma(const ConvBackwardWeight& p) {
  const ConvShape& c = p.shape;
  return takes(p) && tma_windows(c, c.C, c.group_depth(), -c.padding_h, c.padding_h - reach(c)) && c.K % 8 == 0 &&
         c.R * c.S * c.groups <= 65535 && c.group_depth() <= 64 * 65535 && aligned(p.x) && aligned(p.gy) &&
         hopper_kernels();
}

void run_wgmma(const ConvForward& p) {
  const ConvShape& c = p.shape;
  ForwardSource s(p);
  s.x_map = windows_of_x(c, p.x, wgmma::kM);
  s.w_map = weight_map(c, p.w, {wgmma::kDepth, 1, c.group_width() <= 64 ? 64 : 128});
  s.pixels = pixels_of(c);
  s.m = c.N * c.P * c.Q, s.n = c.group_width();
  s.blocks = static_cast<int>(blocks_of(c.group_depth())), s.steps = static_cast<int>(c.R * c.S) * s.blocks;
  s.S = static_cast<int>(c.S), s.dilation_h = static_cast<int>(c.dilation_h);
  s.dilation_w = static_cast<int>(c.dilation_w), s.depth = static_cast<int>(c.group_depth());
  s.K = static_cast<int>(c.K);
  gemm_wgmma(s, c.groups);
}

void run_wgmma(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  const int lower = static_cast<int>(c.padding_h - reach(c));
  BackwardInputSource s;
  s.gy_map = im2col_map(DType::bf16, p.gy, {c.N, c.P, c.Q, c.K, lower, static_cast<int>(-c.padding_h), 1, 1},
                        wgmma::kDepth, wgmma::kM, 128);
  s.w_map = weight_map(c, p.w, {64, 1, wgmma::kDepth});
  s.pixels = {static_cast<int>(c.H), static_cast<int>(c.W), 1, 1, lower};
  s.m = c.N * c.H * c.W, s.n = c.group_depth();
  s.blocks = static_cast<int>(blocks_of(c.group_width())), s.steps = static_cast<int>(c.R * c.S) * s.blocks;
  s.R = static_cast<int>(c.R), s.S = static_cast<int>(c.S), s.dilation_h = static_cast<int>(c.dilation_h);
  s.dilation_w = static_cast<int>(c.dilation_w), s.width = static_cast<int>(c.group_width());
  s.C = static_cast<int>(c.C);
  s.gx = static_cast<__nv_bfloat16*>(p.gx);
  gemm_wgmma(s, c.groups);
}

void run_wgmma(const ConvBackwardWeight& p) {
  const ConvShape& c = p.shape;
  const std::int64_t parts = parts_of(c), pixels = c.N * c.P * c.Q, size = c.w_size();
  const DeviceWorkspace<float> partial(parts * size);
  BackwardWeightSource s;
  s.gy_map = tiled_map(DType::bf16, p.gy, {c.K, pixels}, {c.K}, {64, wgmma::kDepth}, 128);
  s.x_map = windows_of_x(c, p.x, wgmma::kDepth);
  s.pixels = pixels_of(c);
  s.m = c.group_width(), s.n = c.group_depth();
  s.steps = static_cast<int>((blocks_of(pixels) + parts - 1) / parts);
  s.taps = static_cast<int>(c.R * c.S), s.groups = static_cast<int>(c.groups), s.S = static_cast<int>(c.S);
  s.dilation_h = static_cast<int>(c.dilation_h), s.dilation_w = static_cast<int>(c.dilation_w);
  s.size = size;
  s.partial = partial.data();
  gemm_wgmma(s, parts * c.groups * c.R * c.S);
  const float* sums = partial.data();
  auto* gw = static_cast<__nv_bfloat16*>(p.gw);
  each(size, [=] __device__(std::int64_t i) {
    float total = sums[i];
    for (std::int64_t part = 1; part < parts; ++part) total += sums[part * size + i];
    gw[i] = __float2bfloat16(total);
  });
}

}  // namespace gradus::cuda
