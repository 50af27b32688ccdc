// conv2d on CUDA. As a matrix product, with M N K its sizes:
//
//                    rows M          columns N    depth K      a                b
//   forward          N P Q pixels    K outputs    R S C        x, gathered      weight
//   backward input   N H W pixels    C inputs     R S K        gy, gathered     weight
//   backward weight  K outputs       R S C        N P Q        gy               x, gathered
//
//   naive          one thread for each result, in f64: the definition, read this first. Bound by its loads
//   direct         the same in the operands' own type: for groups so narrow (depthwise) that tiles would stay empty
//   implicit_gemm  the matrix product with tiles in registers (cuda/gemm_tiles.cuh); windows are never stored, their
//                  places in x are computed on the way. Bound by FMA
//   tensor         the same tiles on tensor cores, products in TF32. Only where TF32 is allowed
//   gemm_1x1       1x1 windows of stride 1 are a matrix product as they lie: cuBLAS
//
// The depth of backward weight is long and its result small: it is cut into parts that run side by side, whose sums are
// added in order by a second pass (split-K), so that the same problem gives the same bits.

#include "cuda/allocator.hpp"
#include "cuda/blas.hpp"
#include "cuda/each.cuh"
#include "cuda/gemm_tiles.cuh"
#include "ops/conv2d/conv2d_kernels.hpp"

namespace gradus::cuda {
namespace {

// ---- naive, direct: Acc is what they add up in

template <class T, class Acc>
void forward_direct(const ConvForward& problem) {
  const ConvShape c = problem.shape;
  const T* x = static_cast<const T*>(problem.x);
  const T* w = static_cast<const T*>(problem.w);
  const T* bias = static_cast<const T*>(problem.bias);
  T* y = static_cast<T*>(problem.y);
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  each(c.y_size(), [=] __device__(std::int64_t i) {
    const std::int64_t k = i % c.K, q = i / c.K % c.Q, p = i / c.K / c.Q % c.P, n = i / c.K / c.Q / c.P;
    Acc sum = bias ? static_cast<Acc>(bias[k]) : Acc(0);
    for (std::int64_t r = 0; r < c.R; ++r)
      for (std::int64_t s = 0; s < c.S; ++s) {
        const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
        const std::int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
        if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
        const T* xp = x + ((n * c.H + h) * c.W + v) * c.C + k / width * depth;
        const T* wp = w + ((k * c.R + r) * c.S + s) * depth;
        for (std::int64_t d = 0; d < depth; ++d) sum += static_cast<Acc>(xp[d]) * static_cast<Acc>(wp[d]);
      }
    y[i] = static_cast<T>(sum);
  });
}

template <class T, class Acc>
void backward_input_direct(const ConvBackwardInput& problem) {
  const ConvShape c = problem.shape;
  const T* gy = static_cast<const T*>(problem.gy);
  const T* w = static_cast<const T*>(problem.w);
  T* gx = static_cast<T*>(problem.gx);
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  each(c.x_size(), [=] __device__(std::int64_t i) {
    const std::int64_t channel = i % c.C, v = i / c.C % c.W, h = i / c.C / c.W % c.H, n = i / c.C / c.W / c.H;
    const std::int64_t k0 = channel / depth * width;
    Acc sum = 0;
    for (std::int64_t r = 0; r < c.R; ++r)
      for (std::int64_t s = 0; s < c.S; ++s) {
        const std::int64_t ph = h + c.padding_h - r * c.dilation_h, qw = v + c.padding_w - s * c.dilation_w;
        if (ph < 0 || qw < 0 || ph % c.stride_h != 0 || qw % c.stride_w != 0) continue;
        const std::int64_t p = ph / c.stride_h, q = qw / c.stride_w;
        if (p >= c.P || q >= c.Q) continue;
        const T* gp = gy + ((n * c.P + p) * c.Q + q) * c.K;
        for (std::int64_t k = k0; k < k0 + width; ++k)
          sum += static_cast<Acc>(gp[k]) * static_cast<Acc>(w[((k * c.R + r) * c.S + s) * depth + channel % depth]);
      }
    gx[i] = static_cast<T>(sum);
  });
}

template <class T>
void backward_weight_naive(const ConvBackwardWeight& problem) {
  const ConvShape c = problem.shape;
  const T* x = static_cast<const T*>(problem.x);
  const T* gy = static_cast<const T*>(problem.gy);
  T* gw = static_cast<T*>(problem.gw);
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  each(c.w_size(), [=] __device__(std::int64_t i) {
    const std::int64_t d = i % depth, s = i / depth % c.S, r = i / depth / c.S % c.R, k = i / depth / c.S / c.R;
    double sum = 0;
    for (std::int64_t n = 0; n < c.N; ++n)
      for (std::int64_t p = 0; p < c.P; ++p)
        for (std::int64_t q = 0; q < c.Q; ++q) {
          const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
          const std::int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
          if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
          sum += static_cast<double>(gy[((n * c.P + p) * c.Q + q) * c.K + k]) *
                 static_cast<double>(x[((n * c.H + h) * c.W + v) * c.C + k / width * depth + d]);
        }
    gw[i] = static_cast<T>(sum);
  });
}

constexpr int kWeightThreads = 256;

/// A block for each element of gw: its threads share the pixels.
template <class T>
__global__ void __launch_bounds__(kWeightThreads)
    backward_weight_direct_kernel(ConvShape c, const T* x, const T* gy, T* gw) {
  __shared__ double scratch[kWeightThreads / kWarp];
  const std::int64_t depth = c.C / c.groups, width = c.K / c.groups, pixels = c.N * c.P * c.Q;
  const std::int64_t i = blockIdx.x;
  const std::int64_t d = i % depth, s = i / depth % c.S, r = i / depth / c.S % c.R, k = i / depth / c.S / c.R;
  T sum = 0;
  for (std::int64_t at = threadIdx.x; at < pixels; at += kWeightThreads) {
    const std::int64_t q = at % c.Q, p = at / c.Q % c.P, n = at / c.Q / c.P;
    const std::int64_t h = p * c.stride_h - c.padding_h + r * c.dilation_h;
    const std::int64_t v = q * c.stride_w - c.padding_w + s * c.dilation_w;
    if (h >= 0 && h < c.H && v >= 0 && v < c.W)
      sum += gy[at * c.K + k] * x[((n * c.H + h) * c.W + v) * c.C + k / width * depth + d];
  }
  const double total = block_sum(static_cast<double>(sum), scratch);
  if (threadIdx.x == 0) gw[i] = static_cast<T>(total);
}

template <class T>
void backward_weight_direct(const ConvBackwardWeight& p) {
  launch(backward_weight_direct_kernel<T>, blocks_for(p.shape.w_size(), 1), dim3(kWeightThreads), 0, stream(), p.shape,
         static_cast<const T*>(p.x), static_cast<const T*>(p.gy), static_cast<T*>(p.gw));
}

// ---- implicit_gemm, tensor: the three products as sources of tiles. Layer z of the grid is a group, and for backward
// weight a group and a part of the depth. Sizes are ints here, for their division is cheap; fits_int() makes sure.

struct Sizes {
  int C, H, W, K, R, S, P, Q, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, depth, width;
  explicit Sizes(const ConvShape& c)
      : C(static_cast<int>(c.C)),
        H(static_cast<int>(c.H)),
        W(static_cast<int>(c.W)),
        K(static_cast<int>(c.K)),
        R(static_cast<int>(c.R)),
        S(static_cast<int>(c.S)),
        P(static_cast<int>(c.P)),
        Q(static_cast<int>(c.Q)),
        stride_h(static_cast<int>(c.stride_h)),
        stride_w(static_cast<int>(c.stride_w)),
        padding_h(static_cast<int>(c.padding_h)),
        padding_w(static_cast<int>(c.padding_w)),
        dilation_h(static_cast<int>(c.dilation_h)),
        dilation_w(static_cast<int>(c.dilation_w)),
        depth(static_cast<int>(c.group_depth())),
        width(static_cast<int>(c.group_width())) {}
};
bool fits_int(const ConvShape& c) {
  constexpr std::int64_t kLargest = 0x7fffffff;
  return c.N * c.P * c.Q <= kLargest && c.N * c.H * c.W <= kLargest && c.R * c.S * std::max(c.C, c.K) <= kLargest &&
         c.groups <= 65535 && c.R * c.S * c.C <= 16 * 65535 && c.K <= 16 * 65535;
}

/// A place in a window: how far from its corner, and which channel. h < 0 where there is none.
struct Tap {
  int h, w, channel;
};
/// The window at a pixel: the image it looks at, and its corner there.
template <class T>
struct Corner {
  const T* image;  // null outside
  int h, w;
};

template <class T>
struct Gather : Sizes {
  explicit Gather(const ConvShape& c) : Sizes(c) {}

  /// The window of output pixel i over x, whose channels of this group begin at `x`.
  __device__ Corner<T> window(const T* x, std::int64_t i, std::int64_t pixels) const {
    if (i >= pixels) return {nullptr, 0, 0};
    const int at = static_cast<int>(i), q = at % this->Q, np = at / this->Q, p = np % this->P, n = np / this->P;
    return {x + static_cast<std::int64_t>(n) * this->H * this->W * this->C, p * stride_h - padding_h,
            q * stride_w - padding_w};
  }
  /// Tap i of a window over `channels` channels, the channel counting fastest.
  __device__ Tap tap(std::int64_t i, std::int64_t taps, int channels) const {
    if (i >= taps) return {-1, 0, 0};
    const int at = static_cast<int>(i), rs = at / channels;
    return {rs / this->S * dilation_h, rs % this->S * dilation_w, at % channels};
  }
  __device__ T at(const Corner<T>& corner, const Tap& tap) const {
    const int h = corner.h + tap.h, w = corner.w + tap.w;
    if (!corner.image || tap.h < 0 || h < 0 || h >= this->H || w < 0 || w >= this->W) return T(0);
    return corner.image[static_cast<std::int64_t>(h * this->W + w) * this->C + tap.channel];
  }
};

template <class T>
struct ForwardSource : Gather<T> {
  using Element = T;
  using Row = Corner<T>;
  using DepthA = Tap;
  using DepthB = std::int64_t;
  using Column = const T*;
  std::int64_t m, n, begin = 0, end;
  const T *x, *w, *bias;
  T* y;
  static constexpr bool a_along_depth = true, b_along_depth = true;

  explicit ForwardSource(const ConvForward& p)
      : Gather<T>(p.shape),
        m(p.shape.N * p.shape.P * p.shape.Q),
        n(p.shape.group_width()),
        end(p.shape.R * p.shape.S * p.shape.group_depth()),
        x(static_cast<const T*>(p.x)),
        w(static_cast<const T*>(p.w)),
        bias(static_cast<const T*>(p.bias)),
        y(static_cast<T*>(p.y)) {}

  __device__ void select(unsigned group) {
    x += group * this->depth;
    w += group * this->width * end;
    y += group * this->width;
    if (bias) bias += group * this->width;
  }
  __device__ Row row(std::int64_t i) const { return this->window(x, i, m); }
  __device__ DepthA depth_a(std::int64_t k) const { return this->tap(k, end, this->depth); }
  __device__ T a(const Row& row, const DepthA& tap) const { return this->at(row, tap); }
  __device__ Column column(std::int64_t k) const { return k < n ? w + k * end : nullptr; }
  __device__ DepthB depth_b(std::int64_t k) const { return k; }
  __device__ T b(const DepthB& k, const Column& column) const { return column && k < end ? column[k] : T(0); }
  __device__ void store(std::int64_t pixel, std::int64_t k, T value) const {
    y[pixel * this->K + k] = bias ? value + bias[k] : value;
  }
};

template <class T>
struct BackwardInputSource : Sizes {
  using Element = T;
  using Row = Corner<T>;  // the image of gy, and the pixel of x
  using DepthA = Tap;     // its channel is one of gy's
  using DepthB = const T*;
  using Column = std::int64_t;
  std::int64_t m, n, begin = 0, end;
  const T *gy, *w;
  T* gx;
  static constexpr bool a_along_depth = true, b_along_depth = false;

  explicit BackwardInputSource(const ConvBackwardInput& p)
      : Sizes(p.shape),
        m(p.shape.N * p.shape.H * p.shape.W),
        n(p.shape.group_depth()),
        end(p.shape.R * p.shape.S * p.shape.group_width()),
        gy(static_cast<const T*>(p.gy)),
        w(static_cast<const T*>(p.w)),
        gx(static_cast<T*>(p.gx)) {}

  __device__ void select(unsigned group) {
    gy += group * width;
    w += group * static_cast<std::int64_t>(width) * R * S * depth;
    gx += group * depth;
  }
  __device__ Row row(std::int64_t i) const {
    if (i >= m) return {nullptr, 0, 0};
    const int at = static_cast<int>(i), v = at % W, nh = at / W;
    return {gy + static_cast<std::int64_t>(nh / H) * P * Q * K, nh % H + padding_h, v + padding_w};
  }
  __device__ DepthA depth_a(std::int64_t i) const {
    if (i >= end) return {-1, 0, 0};
    const int at = static_cast<int>(i), rs = at / width;
    return {rs / S * dilation_h, rs % S * dilation_w, at % width};
  }
  __device__ T a(const Row& row, const DepthA& tap) const {
    int p = row.h - tap.h, q = row.w - tap.w;
    if (!row.image || tap.h < 0 || p < 0 || q < 0) return T(0);
    if (stride_h > 1) {
      if (p % stride_h != 0) return T(0);
      p /= stride_h;
    }
    if (stride_w > 1) {
      if (q % stride_w != 0) return T(0);
      q /= stride_w;
    }
    if (p >= P || q >= Q) return T(0);
    return row.image[static_cast<std::int64_t>(p * Q + q) * K + tap.channel];
  }
  __device__ Column column(std::int64_t c) const { return c < n ? c : -1; }
  __device__ DepthB depth_b(std::int64_t i) const {
    if (i >= end) return nullptr;
    const int at = static_cast<int>(i);
    return w + (static_cast<std::int64_t>(at % width) * R * S + at / width) * depth;
  }
  __device__ T b(const DepthB& taps, const Column& c) const { return taps && c >= 0 ? taps[c] : T(0); }
  __device__ void store(std::int64_t pixel, std::int64_t c, T value) const { gx[pixel * C + c] = value; }
};

template <class T>
struct BackwardWeightSource : Gather<T> {
  using Element = T;
  using Row = std::int64_t;  // output channel; -1 outside
  using DepthA = const T*;   // gy at a pixel; null outside
  using DepthB = Corner<T>;
  using Column = Tap;
  std::int64_t m, n, begin = 0, end;
  std::int64_t pixels, part;  // of the depth
  int groups;
  std::int64_t size;  // of a result, all groups
  const T *x, *gy;
  T* partial;  // [parts][K][R][S][C/groups]
  static constexpr bool a_along_depth = false, b_along_depth = false;

  BackwardWeightSource(const ConvBackwardWeight& p, std::int64_t parts, T* results)
      : Gather<T>(p.shape),
        m(p.shape.group_width()),
        n(p.shape.R * p.shape.S * p.shape.group_depth()),
        end(0),
        pixels(p.shape.N * p.shape.P * p.shape.Q),
        part(((pixels + parts - 1) / parts + kTileDepth - 1) / kTileDepth * kTileDepth),
        groups(static_cast<int>(p.shape.groups)),
        size(p.shape.w_size()),
        x(static_cast<const T*>(p.x)),
        gy(static_cast<const T*>(p.gy)),
        partial(results) {}

  __device__ void select(unsigned z) {
    const int group = static_cast<int>(z) % groups, at = static_cast<int>(z) / groups;
    x += group * this->depth;
    gy += group * this->width;
    partial += at * size + group * this->width * n;
    begin = at * part;
    end = begin + part < pixels ? begin + part : pixels;
  }
  __device__ Row row(std::int64_t k) const { return k < m ? k : -1; }
  __device__ DepthA depth_a(std::int64_t pixel) const { return pixel < end ? gy + pixel * this->K : nullptr; }
  __device__ T a(const Row& k, const DepthA& pixel) const { return pixel && k >= 0 ? pixel[k] : T(0); }
  __device__ Column column(std::int64_t i) const { return this->tap(i, n, this->depth); }
  __device__ DepthB depth_b(std::int64_t pixel) const { return this->window(x, pixel, end); }
  __device__ T b(const DepthB& window, const Column& tap) const { return this->at(window, tap); }
  __device__ void store(std::int64_t k, std::int64_t i, T value) const { partial[k * n + i] = value; }
};

template <class T>
void add_parts(std::int64_t parts, std::int64_t size, const T* partial, T* y) {
  each(size, [=] __device__(std::int64_t i) {
    T total = partial[i];
    for (std::int64_t s = 1; s < parts; ++s) total += partial[s * size + i];
    y[i] = total;
  });
}

/// Parts of at least 1024 pixels, as many as give the GPU some hundred tiles.
std::int64_t weight_parts(const ConvShape& c) {
  const std::int64_t tiles = (c.group_width() + 63) / 64 * ((c.R * c.S * c.group_depth() + 63) / 64) * c.groups;
  const std::int64_t useful = (c.N * c.P * c.Q + 1023) / 1024;
  return std::clamp<std::int64_t>(std::min(useful, 512 / tiles), 1, 65535 / c.groups);
}

template <class T, class Gemm>
void backward_weight_gemm(const ConvBackwardWeight& p, Gemm&& product) {
  const std::int64_t parts = weight_parts(p.shape);
  if (parts == 1) return product(BackwardWeightSource<T>(p, 1, static_cast<T*>(p.gw)), p.shape.groups);
  const DeviceWorkspace<T> partial(parts * p.shape.w_size());
  product(BackwardWeightSource<T>(p, parts, partial.data()), parts * p.shape.groups);
  add_parts(parts, p.shape.w_size(), partial.data(), static_cast<T*>(p.gw));
}

// ---- gemm_1x1

bool is_pointwise(const ConvShape& c) {
  return c.R == 1 && c.S == 1 && c.stride_h == 1 && c.stride_w == 1 && c.padding_h == 0 && c.padding_w == 0 &&
         c.groups == 1;
}

template <class T>
void spread_bias(std::int64_t size, std::int64_t channels, const T* bias, T* y) {
  each(size, [=] __device__(std::int64_t i) { y[i] = bias[i % channels]; });
}

template <class T>
void forward_1x1(const ConvForward& p) {
  const ConvShape& c = p.shape;
  if (p.bias) spread_bias(c.y_size(), c.K, static_cast<const T*>(p.bias), static_cast<T*>(p.y));
  gemm(false, true, c.N * c.P * c.Q, c.K, c.C, 1, static_cast<const T*>(p.x), c.C, static_cast<const T*>(p.w), c.C,
       p.bias ? 1 : 0, static_cast<T*>(p.y), c.K);
}
template <class T>
void backward_input_1x1(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  gemm(false, false, c.N * c.P * c.Q, c.C, c.K, 1, static_cast<const T*>(p.gy), c.K, static_cast<const T*>(p.w), c.C, 0,
       static_cast<T*>(p.gx), c.C);
}
template <class T>
void backward_weight_1x1(const ConvBackwardWeight& p) {
  const ConvShape& c = p.shape;
  gemm(true, false, c.K, c.C, c.N * c.P * c.Q, 1, static_cast<const T*>(p.gy), c.K, static_cast<const T*>(p.x), c.C, 0,
       static_cast<T*>(p.gw), c.C);
}

// ---- the choices

/// Groups wide enough to fill a good part of a tile.
bool fills_tiles(const ConvShape& c) { return fits_int(c) && c.group_width() >= 8 && c.group_depth() * c.R * c.S >= 8; }
template <class Problem>
bool pointwise(const Problem& p) {
  return is_pointwise(p.shape) && p.shape.N > 0 && p.shape.K > 0;
}
template <class Problem>
bool tiles(const Problem& p) {
  return fills_tiles(p.shape) && p.shape.N > 0;
}
bool input_tiles(const ConvBackwardInput& p) {
  return fits_int(p.shape) && p.shape.group_depth() >= 8 && p.shape.group_width() * p.shape.R * p.shape.S >= 8 &&
         p.shape.N > 0;
}
template <class Problem>
bool tensor(const Problem& p) {
  return p.dtype == DType::f32 && tf32_allowed() && tiles(p);
}
bool input_tensor(const ConvBackwardInput& p) { return p.dtype == DType::f32 && tf32_allowed() && input_tiles(p); }

template <class Problem, class Fn>
void typed(const Problem& p, Fn&& fn) {
  p.dtype == DType::f32 ? fn(float{}) : fn(double{});
}

constexpr const char* kPointwiseIdea = "1x1 windows are a matrix product as they lie: cuBLAS";
constexpr const char* kTensorIdea = "implicit GEMM on tensor cores, products in TF32 (if allowed); bound by gathering";
constexpr const char* kGemmIdea = "implicit GEMM, 4x4 results to a thread; bound by FMA";
constexpr const char* kDirectIdea = "a thread for each result; for narrow groups, bound by memory there";
constexpr const char* kNaiveIdea = "the definition, in f64";

}  // namespace

const Candidates<ConvForward>& conv2d_forward() {
  static const Candidates<ConvForward> list(
      "conv2d.forward", {{"gemm_1x1", kPointwiseIdea, pointwise<ConvForward>,
                          [](const ConvForward& p) { typed(p, [&]<class T>(T) { forward_1x1<T>(p); }); }},
                         {"tensor", kTensorIdea, tensor<ConvForward>,
                          [](const ConvForward& p) { gemm_tensor(ForwardSource<float>(p), p.shape.groups); }},
                         {"implicit_gemm", kGemmIdea, tiles<ConvForward>,
                          [](const ConvForward& p) {
                            typed(p, [&]<class T>(T) { gemm_registers(ForwardSource<T>(p), p.shape.groups); });
                          }},
                         {"direct", kDirectIdea, always<ConvForward>,
                          [](const ConvForward& p) { typed(p, [&]<class T>(T) { forward_direct<T, T>(p); }); }},
                         {"naive", kNaiveIdea, always<ConvForward>,
                          [](const ConvForward& p) { typed(p, [&]<class T>(T) { forward_direct<T, double>(p); }); }}});
  return list;
}

const Candidates<ConvBackwardInput>& conv2d_backward_input() {
  static const Candidates<ConvBackwardInput> list(
      "conv2d.backward_input",
      {{"gemm_1x1", kPointwiseIdea, pointwise<ConvBackwardInput>,
        [](const ConvBackwardInput& p) { typed(p, [&]<class T>(T) { backward_input_1x1<T>(p); }); }},
       {"tensor", kTensorIdea, input_tensor,
        [](const ConvBackwardInput& p) { gemm_tensor(BackwardInputSource<float>(p), p.shape.groups); }},
       {"implicit_gemm", kGemmIdea, input_tiles,
        [](const ConvBackwardInput& p) {
          typed(p, [&]<class T>(T) { gemm_registers(BackwardInputSource<T>(p), p.shape.groups); });
        }},
       {"direct", kDirectIdea, always<ConvBackwardInput>,
        [](const ConvBackwardInput& p) { typed(p, [&]<class T>(T) { backward_input_direct<T, T>(p); }); }},
       {"naive", kNaiveIdea, always<ConvBackwardInput>,
        [](const ConvBackwardInput& p) { typed(p, [&]<class T>(T) { backward_input_direct<T, double>(p); }); }}});
  return list;
}

const Candidates<ConvBackwardWeight>& conv2d_backward_weight() {
  static const Candidates<ConvBackwardWeight> list(
      "conv2d.backward_weight",
      {{"gemm_1x1", kPointwiseIdea, pointwise<ConvBackwardWeight>,
        [](const ConvBackwardWeight& p) { typed(p, [&]<class T>(T) { backward_weight_1x1<T>(p); }); }},
       {"tensor", kTensorIdea, tensor<ConvBackwardWeight>,
        [](const ConvBackwardWeight& p) {
          backward_weight_gemm<float>(p, [](const auto& source, std::int64_t z) { gemm_tensor(source, z); });
        }},
       {"implicit_gemm", kGemmIdea, tiles<ConvBackwardWeight>,
        [](const ConvBackwardWeight& p) {
          typed(p, [&]<class T>(T) {
            backward_weight_gemm<T>(p, [](const auto& source, std::int64_t z) { gemm_registers(source, z); });
          });
        }},
       {"direct", "a block for each weight, its threads share the pixels", always<ConvBackwardWeight>,
        [](const ConvBackwardWeight& p) { typed(p, [&]<class T>(T) { backward_weight_direct<T>(p); }); }},
       {"naive", kNaiveIdea, always<ConvBackwardWeight>,
        [](const ConvBackwardWeight& p) { typed(p, [&]<class T>(T) { backward_weight_naive<T>(p); }); }}});
  return list;
}

}  // namespace gradus::cuda
