#pragma once
// The three convolutions as matrix products: what the tiles of cuda/gemm_tiles.cuh and cuda/gemm_pipeline.cuh read.
// With M N K a product's sizes:
//
//                    rows M          columns N    depth K      a                b
//   forward          N P Q pixels    K outputs    R S C        x, gathered      weight
//   backward input   N H W pixels    C inputs     R S K        gy, gathered     weight
//   backward weight  K outputs       R S C        N P Q        gy               x, gathered
//
// Windows are never stored: an operand "gathered" is an address computed on the way. Channels run fastest in every
// depth, so where the channels of a group are a multiple of 16 bytes, 16 bytes lie together (sixteen_bytes()).
//
// A layer (z) of the grid is a group; for backward weight a group and a part of the depth, and for backward input a
// group and a *parity*: under stride 2 the pixels of x fall into four classes by the parity of their row and column,
// and each class sees only every other tap. Taken class by class nothing is multiplied by zeros.
//
// Sizes are ints here, for their division is cheap; fits_int() makes sure.

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "cuda/divisor.cuh"
#include "cuda/gemm_tiles.cuh"
#include "ops/conv2d/conv2d_epilogue.cuh"

namespace gradus::cuda {

inline constexpr int kMostLayers = 65535;  // of a grid, along z

inline bool fits_int(const ConvShape& c) {
  constexpr std::int64_t kLargest = 0x3fffffff;
  return c.N * c.P * c.Q <= kLargest && c.N * c.H * c.W <= kLargest && c.w_size() <= kLargest &&
         c.dilation_h * c.R * c.W * c.C <= kLargest && c.dilation_h * c.R * c.Q * c.K <= kLargest &&
         c.groups * c.stride_h * c.stride_w <= kMostLayers && c.R * c.S * c.group_depth() <= 16 * 65535 &&
         c.K <= 16 * 65535;
}

/// Can tiles be read and written in vectors of 16 bytes? `operands` are the addresses of all tensors.
inline bool sixteen_bytes(const ConvShape& c, DType dtype, std::initializer_list<const void*> operands) {
  const std::int64_t vector = 16 / dtype_size(dtype);
  for (const void* p : operands)
    if (reinterpret_cast<std::uintptr_t>(p) % 16 != 0) return false;
  return c.group_depth() % vector == 0 && c.group_width() % vector == 0;
}

inline constexpr int kOutside = -(1 << 29);  // as a coordinate: no such place

/// Where a window stands: its corner, which may lie in the padding.
struct Corner {
  int pixel;  // n H W + h W + w
  int h, w;   // h = kOutside: no window
};
/// A place in a window: how far from its corner.
struct Tap {
  int h, w;    // h = kOutside: no place
  int offset;  // in elements, the channel's included
};

/// Images [N, H, W, C] that windows look at.
template <class T>
struct Images {
  int H, W, C;
  const T* data;  // the first channel of the group

  __device__ Corner corner(int n, int h, int w) const { return {(n * H + h) * W + w, h, w}; }
  __device__ Tap tap(int h, int w, int channel) const { return {h, w, (h * W + w) * C + channel}; }
  /// Null in the padding.
  __device__ const T* at(const Corner& corner, const Tap& tap) const {
    const int h = corner.h + tap.h, w = corner.w + tap.w;
    if (static_cast<unsigned>(h) >= static_cast<unsigned>(H) || static_cast<unsigned>(w) >= static_cast<unsigned>(W))
      return nullptr;
    return data + static_cast<std::int64_t>(corner.pixel) * C + tap.offset;
  }
};

/// How the windows of a convolution go over x.
struct Windows {
  Divisor P, Q, S, depth;
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  explicit Windows(const ConvShape& c)
      : P(static_cast<int>(c.P)),
        Q(static_cast<int>(c.Q)),
        S(static_cast<int>(c.S)),
        depth(static_cast<int>(c.group_depth())),
        stride_h(static_cast<int>(c.stride_h)),
        stride_w(static_cast<int>(c.stride_w)),
        padding_h(static_cast<int>(c.padding_h)),
        padding_w(static_cast<int>(c.padding_w)),
        dilation_h(static_cast<int>(c.dilation_h)),
        dilation_w(static_cast<int>(c.dilation_w)) {}

  /// The window of output pixel i.
  template <class T>
  __device__ Corner corner(const Images<T>& x, std::int64_t i, std::int64_t pixels) const {
    if (i >= pixels) return {0, kOutside, 0};
    const int at = static_cast<int>(i), np = at / Q, q = at % Q, n = np / P, p = np % P;
    return x.corner(n, p * stride_h - padding_h, q * stride_w - padding_w);
  }
  /// Tap i of [R][S][C].
  template <class T>
  __device__ Tap tap(const Images<T>& x, std::int64_t i, std::int64_t taps) const {
    if (i >= taps) return {kOutside, 0, 0};
    const int at = static_cast<int>(i), rs = at / depth, r = rs / S, s = rs % S;
    return x.tap(r * dilation_h, s * dilation_w, at % depth);
  }
};

template <class T>
Images<T> images_of(const ConvShape& c, const void* x) {
  return {static_cast<int>(c.H), static_cast<int>(c.W), static_cast<int>(c.C), static_cast<const T*>(x)};
}

template <class T>
struct ForwardSource {
  using Element = T;
  using Row = Corner;
  using DepthA = Tap;
  using DepthB = int;
  using Column = const T*;
  static constexpr bool a_along_depth = true, b_along_depth = true;

  std::int64_t m, n, begin = 0, end;
  int K;
  Images<T> x;
  Windows windows;
  const T* w;
  T* y;
  int first = 0;  // output channel of the group
  Epilogue<T> epilogue;

  explicit ForwardSource(const ConvForward& p)
      : m(p.shape.N * p.shape.P * p.shape.Q),
        n(p.shape.group_width()),
        end(p.shape.R * p.shape.S * p.shape.group_depth()),
        K(static_cast<int>(p.shape.K)),
        x(images_of<T>(p.shape, p.x)),
        windows(p.shape),
        w(static_cast<const T*>(p.w)),
        y(static_cast<T*>(p.y)),
        epilogue(p) {}
  static std::int64_t layers(const ConvShape& c) { return c.groups; }

  __device__ void select(unsigned group) {
    x.data += group * windows.depth.value();
    w += group * n * end;
    first = static_cast<int>(group * n);
  }
  __device__ Row row(std::int64_t i) const { return windows.corner(x, i, m); }
  __device__ DepthA depth_a(std::int64_t k) const { return windows.tap(x, k, end); }
  __device__ const T* a(const Row& row, const DepthA& tap) const { return x.at(row, tap); }
  __device__ Column column(std::int64_t k) const { return k < n ? w + k * end : nullptr; }
  __device__ DepthB depth_b(std::int64_t k) const { return k < end ? static_cast<int>(k) : -1; }
  __device__ const T* b(const DepthB& k, const Column& column) const { return column && k >= 0 ? column + k : nullptr; }
  __device__ void store(std::int64_t pixel, std::int64_t k, Sum<T> value) const {
    const std::int64_t at = pixel * K + first + k;
    y[at] = device_convert<T>(epilogue(value, first + k, at));
  }
  __device__ void store_four(std::int64_t pixel, std::int64_t k, float (&v)[4]) const {
    const std::int64_t at = pixel * K + first + k;
    epilogue.four(v, first + k, at);
    cuda::store_four(y + at, v);
  }
};

/// One axis of backward input: the pixels x = first + i stride of a class, and the taps they see, which lie at gy's
/// `base + i - j step` for j = 0, 1, … (tap first_tap + j tap_step of the window).
struct ParityAxis {
  int first, pixels;
  int first_tap, taps;
  int base;

  __device__ ParityAxis(int parity, int size, int window, int stride, int padding, int dilation, int tap_step)
      : first((parity + (padding / stride + 1) * stride - padding) % stride),
        pixels(first < size ? (size - first + stride - 1) / stride : 0),
        first_tap(0) {
    while (first_tap < window && first_tap * dilation % stride != parity) ++first_tap;
    taps = (window - first_tap + tap_step - 1) / tap_step;
    base = (first + padding - first_tap * dilation) / stride;  // exact, and may be negative
  }
};

template <class T>
struct BackwardInputSource {
  using Element = T;
  using Row = Corner;  // of gy
  using DepthA = Tap;  // its channel is one of gy's
  using DepthB = const T*;
  using Column = int;
  static constexpr bool a_along_depth = true, b_along_depth = false;

  std::int64_t m, n, begin = 0, end;
  int N, H, W, C, R, S, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int tap_step_h, tap_step_w;  // the taps of a class are every tap_step-th
  Divisor width, groups;
  Images<T> gy;
  const T* w;
  T* gx;
  // Of the class, by select().
  Divisor pixels_h, pixels_w, taps_w;
  int first_h = 0, first_w = 0, base_h = 0, base_w = 0, first_tap_h = 0, first_tap_w = 0;

  explicit BackwardInputSource(const ConvBackwardInput& p)
      : m(p.shape.N * ((p.shape.H + p.shape.stride_h - 1) / p.shape.stride_h) *
          ((p.shape.W + p.shape.stride_w - 1) / p.shape.stride_w)),
        n(p.shape.group_depth()),
        end(0),
        N(static_cast<int>(p.shape.N)),
        H(static_cast<int>(p.shape.H)),
        W(static_cast<int>(p.shape.W)),
        C(static_cast<int>(p.shape.C)),
        R(static_cast<int>(p.shape.R)),
        S(static_cast<int>(p.shape.S)),
        stride_h(static_cast<int>(p.shape.stride_h)),
        stride_w(static_cast<int>(p.shape.stride_w)),
        padding_h(static_cast<int>(p.shape.padding_h)),
        padding_w(static_cast<int>(p.shape.padding_w)),
        dilation_h(static_cast<int>(p.shape.dilation_h)),
        dilation_w(static_cast<int>(p.shape.dilation_w)),
        tap_step_h(stride_h / std::gcd(dilation_h, stride_h)),
        tap_step_w(stride_w / std::gcd(dilation_w, stride_w)),
        width(static_cast<int>(p.shape.group_width())),
        groups(static_cast<int>(p.shape.groups)),
        gy{static_cast<int>(p.shape.P), static_cast<int>(p.shape.Q), static_cast<int>(p.shape.K),
           static_cast<const T*>(p.gy)},
        w(static_cast<const T*>(p.w)),
        gx(static_cast<T*>(p.gx)) {}
  static std::int64_t layers(const ConvShape& c) { return c.groups * c.stride_h * c.stride_w; }

  __device__ void select(unsigned z) {
    const int group = static_cast<int>(z) % groups, parity = static_cast<int>(z) / groups;
    gy.data += group * width.value();
    w += static_cast<std::int64_t>(group) * width.value() * R * S * n;
    gx += group * n;
    const ParityAxis h(parity / stride_w, H, R, stride_h, padding_h, dilation_h, tap_step_h);
    const ParityAxis v(parity % stride_w, W, S, stride_w, padding_w, dilation_w, tap_step_w);
    m = static_cast<std::int64_t>(N) * h.pixels * v.pixels;
    if (m == 0) return;
    end = h.taps * v.taps * width.value();
    pixels_h = Divisor(h.pixels), pixels_w = Divisor(v.pixels);
    taps_w = Divisor(v.taps > 0 ? v.taps : 1);
    first_h = h.first, first_w = v.first;
    base_h = h.base, base_w = v.base;
    first_tap_h = h.first_tap, first_tap_w = v.first_tap;
  }
  __device__ Row row(std::int64_t i) const {
    if (i >= m) return {0, kOutside, 0};
    const int at = static_cast<int>(i), nh = at / pixels_w;
    return gy.corner(nh / pixels_h, base_h + nh % pixels_h, base_w + at % pixels_w);
  }
  __device__ DepthA depth_a(std::int64_t i) const {
    if (i >= end) return {kOutside, 0, 0};
    const int at = static_cast<int>(i), rs = at / width;
    return gy.tap(-(rs / taps_w) * (tap_step_h * dilation_h / stride_h),
                  -(rs % taps_w) * (tap_step_w * dilation_w / stride_w), at % width);
  }
  __device__ const T* a(const Row& row, const DepthA& tap) const { return gy.at(row, tap); }
  __device__ Column column(std::int64_t c) const { return c < n ? static_cast<int>(c) : -1; }
  __device__ DepthB depth_b(std::int64_t i) const {
    if (i >= end) return nullptr;
    const int at = static_cast<int>(i), rs = at / width;
    const int r = first_tap_h + rs / taps_w * tap_step_h, s = first_tap_w + rs % taps_w * tap_step_w;
    return w + ((at % width * R + r) * S + s) * n;
  }
  __device__ const T* b(const DepthB& taps, const Column& c) const { return taps && c >= 0 ? taps + c : nullptr; }
  __device__ T* result(std::int64_t i, std::int64_t c) const {
    const int at = static_cast<int>(i), nh = at / pixels_w;
    const int h = first_h + nh % pixels_h * stride_h, v = first_w + at % pixels_w * stride_w;
    return gx + static_cast<std::int64_t>((nh / pixels_h * H + h) * W + v) * C + c;
  }
  __device__ void store(std::int64_t i, std::int64_t c, Sum<T> value) const {
    *result(i, c) = device_convert<T>(value);
  }
  __device__ void store_four(std::int64_t i, std::int64_t c, float (&v)[4]) const { cuda::store_four(result(i, c), v); }
};

/// Parts are a multiple of this deep.
inline constexpr std::int64_t kPartDepth = 32;

template <class T>
struct BackwardWeightSource {
  using Element = T;
  using Row = int;          // output channel; -1 outside
  using DepthA = const T*;  // gy at a pixel; null outside
  using DepthB = Corner;
  using Column = Tap;
  static constexpr bool a_along_depth = false, b_along_depth = false;

  std::int64_t m, n, begin = 0, end = 0;
  std::int64_t pixels, part;  // of the depth
  std::int64_t size;          // of a result, all groups
  int K;
  Divisor groups;
  Images<T> x;
  Windows windows;
  const T* gy;
  T* gw;            // written if `partial` is null
  Sum<T>* partial;  // [parts][K][R][S][C/groups]

  BackwardWeightSource(const ConvBackwardWeight& p, std::int64_t parts, Sum<T>* partial_sums)
      : m(p.shape.group_width()),
        n(p.shape.R * p.shape.S * p.shape.group_depth()),
        pixels(p.shape.N * p.shape.P * p.shape.Q),
        part(((pixels + parts - 1) / parts + kPartDepth - 1) / kPartDepth * kPartDepth),
        size(p.shape.w_size()),
        K(static_cast<int>(p.shape.K)),
        groups(static_cast<int>(p.shape.groups)),
        x(images_of<T>(p.shape, p.x)),
        windows(p.shape),
        gy(static_cast<const T*>(p.gy)),
        gw(static_cast<T*>(p.gw)),
        partial(partial_sums) {}

  __device__ void select(unsigned z) {
    const int group = static_cast<int>(z) % groups, at = static_cast<int>(z) / groups;
    x.data += group * windows.depth.value();
    gy += group * m;
    gw += group * m * n;
    if (partial) partial += at * size + group * m * n;
    begin = at * part;
    end = begin + part < pixels ? begin + part : pixels;
  }
  __device__ Row row(std::int64_t k) const { return k < m ? static_cast<int>(k) : -1; }
  __device__ DepthA depth_a(std::int64_t pixel) const { return pixel < end ? gy + pixel * K : nullptr; }
  __device__ const T* a(const Row& k, const DepthA& pixel) const { return pixel && k >= 0 ? pixel + k : nullptr; }
  __device__ Column column(std::int64_t i) const { return windows.tap(x, i, n); }
  __device__ DepthB depth_b(std::int64_t pixel) const { return windows.corner(x, pixel, end); }
  __device__ const T* b(const DepthB& window, const Column& tap) const { return x.at(window, tap); }
  __device__ void store(std::int64_t k, std::int64_t i, Sum<T> value) const {
    if (partial)
      partial[k * n + i] = value;
    else
      gw[k * n + i] = device_convert<T>(value);
  }
  __device__ void store_four(std::int64_t k, std::int64_t i, float (&v)[4]) const {
    if (partial)
      cuda::store_four(partial + k * n + i, v);
    else
      cuda::store_four(gw + k * n + i, v);
  }
};

}  // namespace gradus::cuda
