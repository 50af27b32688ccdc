// conv2d of narrow groups (ResNeXt) and depthwise: too narrow for tiles of a matrix product, so each thread computes
// four neighbouring channels of four neighbouring pixels, in f32.
//
//   four channels   are one vector load of x and one store of y, and they are of one group, so they share its inputs
//   four pixels     share each weight, which comes from shared memory, converted and turned so that the four channels
//                   lie together
//   blocks stay     for many pixels, so that weights are fetched seldom
//
// Bound by memory for depthwise and groups of 4; by FMA from about 8 on. Backward weight keeps its sums in registers: a
// thread has four outputs by four inputs (depthwise: four channels) of three neighbouring taps and walks over pixels.

#include <algorithm>

#include "cuda/allocator.hpp"
#include "cuda/divisor.cuh"
#include "ops/conv2d/conv2d_sources.cuh"
#include "ops/conv2d/conv2d_weight_parts.cuh"

namespace gradus::cuda {
namespace {

constexpr int kThreads = 256, kPixels = 4;
constexpr int kMostWeights = 12 << 10;  // floats in shared memory: 48 KiB

// ---- forward and backward input: results [N, P, Q, out] from images [N, H, W, in]

/// A result at (p, q) sees, through tap (r, s), the image at (p step - padding + r dilation) / divide, if that is whole
/// and inside; likewise along w. Forward: step = stride, divide = 1. Backward input: step = 1, divide = stride, and
/// padding and dilation with their signs turned.
struct Axis {
  int step, offset, dilation, divide, size;

  /// The image's row (column), or -1.
  __device__ int at(int result, int tap) const {
    int i = result * step + offset + tap * dilation;
    if (divide > 1) {
      if (i % divide != 0) return -1;
      i /= divide;
    }
    return i >= 0 && i < size ? i : -1;
  }
};

template <class T>
struct GroupsTask {
  explicit GroupsTask(const Epilogue<T>& e) : epilogue(e) {}
  Epilogue<T> epilogue;  // empty for backward input
  int in, out;           // channels, all groups
  int depth, width;      // channels of a group: in, out
  int R, S;
  int w_out, w_tap, w_in;  // strides of the weight; `in` counts within the group
  int w_group;             // from one group to the next
  Axis h, v;
  int block_channels;    // results' channels of a block: whole groups
  Divisor strips, rows;  // four pixels of a row each; rows of an image
  int Q;
  std::int64_t tasks;  // strips of all images
  const T *x, *w;
  T* y;
};

/// Shared memory: weights [R S][depth][block_channels].
template <class T, bool kDepthwise>
__global__ void __launch_bounds__(kThreads) groups_kernel(GroupsTask<T> t) {
  float* const weights = dynamic_shared<float>();
  const int thread = static_cast<int>(threadIdx.x), channels = t.block_channels, quads = channels / 4;
  const int first = static_cast<int>(blockIdx.y) * channels, taps = t.R * t.S;
  for (int e = thread; e < taps * t.depth * channels; e += kThreads) {
    const int local = e % channels, rest = e / channels, d = rest % t.depth, tap = rest / t.depth;
    const int channel = first + local, group = channel / t.width;
    weights[e] = channel < t.out ? device_convert<float>(t.w[static_cast<std::int64_t>(group) * t.w_group +
                                                             channel % t.width * t.w_out + tap * t.w_tap + d * t.w_in])
                                 : 0.f;
  }
  __syncthreads();
  const int quad = thread % quads, lane = thread / quads, lanes = kThreads / quads;
  const int channel = first + 4 * quad;
  if (lane >= lanes || channel >= t.out) return;
  const int source = kDepthwise ? channel : channel / t.width * t.depth;
  const float* const mine = weights + 4 * quad;

  for (std::int64_t task = static_cast<std::int64_t>(blockIdx.x) * lanes + lane; task < t.tasks;
       task += static_cast<std::int64_t>(gridDim.x) * lanes) {
    const int at = static_cast<int>(task), np = at / t.strips, q0 = at % t.strips * kPixels;
    const int n = np / t.rows, p = np % t.rows;
    float sums[kPixels][4];
#pragma unroll
    for (int i = 0; i < kPixels; ++i)
#pragma unroll
      for (int c = 0; c < 4; ++c) sums[i][c] = 0;
    for (int r = 0; r < t.R; ++r) {
      const int row = t.h.at(p, r);
      if (row < 0) continue;
      const T* const line = t.x + static_cast<std::int64_t>(n * t.h.size + row) * t.v.size * t.in + source;
      for (int s = 0; s < t.S; ++s) {
        int columns[kPixels];
#pragma unroll
        for (int i = 0; i < kPixels; ++i) columns[i] = q0 + i < t.Q ? t.v.at(q0 + i, s) : -1;
        const float* w = mine + (r * t.S + s) * t.depth * channels;
        if constexpr (kDepthwise) {
          const float4 four = *reinterpret_cast<const float4*>(w);
          const float factors[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
          for (int i = 0; i < kPixels; ++i) {
            if (columns[i] < 0) continue;
            float values[4];
            load_four(line + columns[i] * t.in, values);
#pragma unroll
            for (int c = 0; c < 4; ++c) sums[i][c] += values[c] * factors[c];
          }
        } else {
          for (int d0 = 0; d0 < t.depth; d0 += 4, w += 4 * channels) {
            float values[kPixels][4];
#pragma unroll
            for (int i = 0; i < kPixels; ++i) {
              if (columns[i] >= 0)
                load_four(line + columns[i] * t.in + d0, values[i]);
              else
                values[i][0] = values[i][1] = values[i][2] = values[i][3] = 0;
            }
#pragma unroll
            for (int d = 0; d < 4; ++d) {
              const float4 four = *reinterpret_cast<const float4*>(w + d * channels);
              const float factors[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
              for (int i = 0; i < kPixels; ++i)
#pragma unroll
                for (int c = 0; c < 4; ++c) sums[i][c] += values[i][d] * factors[c];
            }
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kPixels; ++i)
      if (q0 + i < t.Q) {
        const std::int64_t to = (static_cast<std::int64_t>(np) * t.Q + q0 + i) * t.out + channel;
        t.epilogue.four(sums[i], channel, to);
        store_four(t.y + to, sums[i]);
      }
  }
}

template <class T>
void gather_groups(GroupsTask<T> t, std::int64_t N, std::int64_t P) {
  t.strips = Divisor((t.Q + kPixels - 1) / kPixels);
  t.rows = Divisor(static_cast<int>(P));
  t.tasks = N * P * t.strips.value();
  // Whole groups, at most a warp of quads, as many as the weights leave room for.
  const int unit = t.width == 1 ? 4 : t.width, each_channel = t.R * t.S * t.depth;
  const int most = std::clamp(std::min(128, kMostWeights / each_channel), unit, 128);
  t.block_channels = std::min(most, t.out) / unit * unit;
  const int lanes = kThreads / (t.block_channels / 4), across = (t.out + t.block_channels - 1) / t.block_channels;
  const std::int64_t needed = (t.tasks + lanes - 1) / lanes, enough = std::max(1, 1024 / across);
  const dim3 grid(static_cast<unsigned>(std::min(needed, enough)), static_cast<unsigned>(across));
  const auto bytes = static_cast<std::size_t>(each_channel * t.block_channels) * sizeof(float);
  if (t.width == 1)
    launch(groups_kernel<T, true>, grid, dim3(kThreads), bytes, stream(), t);
  else
    launch(groups_kernel<T, false>, grid, dim3(kThreads), bytes, stream(), t);
}

template <class T>
void forward(const ConvForward& p) {
  const ConvShape& c = p.shape;
  const auto i = [](std::int64_t n) { return static_cast<int>(n); };
  GroupsTask<T> t{Epilogue<T>(p)};
  t.in = i(c.C), t.out = i(c.K), t.depth = i(c.group_depth()), t.width = i(c.group_width());
  t.R = i(c.R), t.S = i(c.S), t.Q = i(c.Q);
  t.w_out = i(c.R * c.S * c.group_depth()), t.w_tap = t.depth, t.w_in = 1, t.w_group = t.w_out * t.width;
  t.h = {i(c.stride_h), -i(c.padding_h), i(c.dilation_h), 1, i(c.H)};
  t.v = {i(c.stride_w), -i(c.padding_w), i(c.dilation_w), 1, i(c.W)};
  t.x = static_cast<const T*>(p.x), t.w = static_cast<const T*>(p.w);
  t.y = static_cast<T*>(p.y);
  gather_groups(t, c.N, c.P);
}

template <class T>
void backward_input(const ConvBackwardInput& p) {
  const ConvShape& c = p.shape;
  const auto i = [](std::int64_t n) { return static_cast<int>(n); };
  GroupsTask<T> t{Epilogue<T>(ConvForward{})};
  t.in = i(c.K), t.out = i(c.C), t.depth = i(c.group_width()), t.width = i(c.group_depth());
  t.R = i(c.R), t.S = i(c.S), t.Q = i(c.W);
  t.w_out = 1, t.w_tap = t.width, t.w_in = i(c.R * c.S * c.group_depth()), t.w_group = t.w_in * t.depth;
  t.h = {1, i(c.padding_h), -i(c.dilation_h), i(c.stride_h), i(c.P)};
  t.v = {1, i(c.padding_w), -i(c.dilation_w), i(c.stride_w), i(c.Q)};
  t.x = static_cast<const T*>(p.gy), t.w = static_cast<const T*>(p.w);
  t.y = static_cast<T*>(p.gx);
  gather_groups(t, c.N, c.H);
}

// ---- backward weight

constexpr int kTaps = 3;

/// A column of the block's threads: four outputs, four inputs of their group, and three taps of a row of the window.
template <class T>
struct WeightTask {
  int C, K, H, W, R, S, depth, width;
  int stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  int input_quads;    // of a group; 1 for depthwise
  int columns;        // K / 4 * input_quads
  int block_columns;  // of a block
  Divisor P, Q;
  std::int64_t pixels, part, size;
  const T *x, *gy;
  float* partial;  // [parts][K][R][S][depth]
};

/// blockIdx: columns, row of the window and chunk of its taps, part of the pixels. Shared memory: a float for each
/// thread.
template <class T, bool kDepthwise>
__global__ void __launch_bounds__(kThreads) groups_weight_kernel(WeightTask<T> t) {
  constexpr int kInputs = kDepthwise ? 1 : 4;
  __shared__ float scratch[kThreads];
  const int thread = static_cast<int>(threadIdx.x), local = thread % t.block_columns, lane = thread / t.block_columns;
  const int lanes = kThreads / t.block_columns, chunks = (t.S + kTaps - 1) / kTaps;
  const int column = static_cast<int>(blockIdx.x) * t.block_columns + local;
  const int r = static_cast<int>(blockIdx.y) / chunks, s0 = static_cast<int>(blockIdx.y) % chunks * kTaps;
  const int k = column / t.input_quads * 4, d = column % t.input_quads * 4;
  const bool works = column < t.columns && lane < lanes;
  const int source = kDepthwise ? k : k / t.width * t.depth + d;
  float sums[kTaps][kInputs][4] = {};
  const std::int64_t begin = blockIdx.z * t.part, end = begin + t.part < t.pixels ? begin + t.part : t.pixels;
  if (works)
    for (std::int64_t pixel = begin + lane; pixel < end; pixel += lanes) {
      const int at = static_cast<int>(pixel), np = at / t.Q, q = at % t.Q, n = np / t.P, p = np % t.P;
      const int h = p * t.stride_h - t.padding_h + r * t.dilation_h;
      if (h < 0 || h >= t.H) continue;
      float g[4];
      load_four(t.gy + pixel * t.K + k, g);
      const T* const line = t.x + static_cast<std::int64_t>(n * t.H + h) * t.W * t.C + source;
#pragma unroll
      for (int i = 0; i < kTaps; ++i) {
        const int w = q * t.stride_w - t.padding_w + (s0 + i) * t.dilation_w;
        if (s0 + i >= t.S || w < 0 || w >= t.W) continue;
        float values[4];
        load_four(line + w * t.C, values);
        if constexpr (kDepthwise) {
#pragma unroll
          for (int c = 0; c < 4; ++c) sums[i][0][c] += g[c] * values[c];
        } else {
#pragma unroll
          for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int c = 0; c < 4; ++c) sums[i][j][c] += g[c] * values[j];
        }
      }
    }
    // The lanes' sums, added in order by the first lane.
#pragma unroll
  for (int i = 0; i < kTaps; ++i)
#pragma unroll
    for (int j = 0; j < kInputs; ++j)
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        scratch[thread] = sums[i][j][c];
        __syncthreads();
        if (works && lane == 0 && s0 + i < t.S) {
          float total = scratch[local];
          for (int l = 1; l < lanes; ++l) total += scratch[l * t.block_columns + local];
          t.partial[blockIdx.z * t.size + (static_cast<std::int64_t>(k + c) * t.R * t.S + r * t.S + s0 + i) * t.depth +
                    d + j] = total;
        }
        __syncthreads();
      }
}

template <class T>
void backward_weight(const ConvBackwardWeight& p) {
  const ConvShape& c = p.shape;
  const auto i = [](std::int64_t n) { return static_cast<int>(n); };
  const bool depthwise = c.group_depth() == 1;
  WeightTask<T> t{};
  t.C = i(c.C), t.K = i(c.K), t.H = i(c.H), t.W = i(c.W), t.R = i(c.R), t.S = i(c.S);
  t.depth = i(c.group_depth()), t.width = i(c.group_width());
  t.stride_h = i(c.stride_h), t.stride_w = i(c.stride_w);
  t.padding_h = i(c.padding_h), t.padding_w = i(c.padding_w);
  t.dilation_h = i(c.dilation_h), t.dilation_w = i(c.dilation_w);
  t.input_quads = depthwise ? 1 : t.depth / 4;
  t.columns = t.K / 4 * t.input_quads;
  t.block_columns = std::min(t.columns, 32);
  t.P = Divisor(i(c.P)), t.Q = Divisor(i(c.Q));
  t.pixels = c.N * c.P * c.Q, t.size = c.w_size();
  t.x = static_cast<const T*>(p.x), t.gy = static_cast<const T*>(p.gy);

  const unsigned across = static_cast<unsigned>((t.columns + t.block_columns - 1) / t.block_columns);
  const unsigned rows = static_cast<unsigned>(t.R * ((t.S + kTaps - 1) / kTaps));
  const std::int64_t parts =
      std::clamp<std::int64_t>(std::min<std::int64_t>(t.pixels / 256, 2048 / (across * rows)), 1, 256);
  t.part = (t.pixels + parts - 1) / parts;
  const DeviceWorkspace<float> partial(parts * t.size);
  t.partial = partial.data();
  const dim3 grid(across, rows, static_cast<unsigned>(parts));
  if (depthwise)
    launch(groups_weight_kernel<T, true>, grid, dim3(kThreads), 0, stream(), t);
  else
    launch(groups_weight_kernel<T, false>, grid, dim3(kThreads), 0, stream(), t);
  add_parts(parts, t.size, partial.data(), static_cast<T*>(p.gw));
}

// ---- the choice

/// Up to 16 channels, which a tile of 16 columns would hold as well; up to 8 where the pipeline takes 16.
template <class Problem>
bool takes(const Problem& p, std::initializer_list<const void*> operands) {
  const ConvShape& c = p.shape;
  if (p.dtype == DType::f64 || c.groups == 1 || !fits_int(c) || c.N == 0) return false;
  for (const void* operand : operands)
    if (reinterpret_cast<std::uintptr_t>(operand) % 16 != 0) return false;
  const std::int64_t depth = c.group_depth(), width = c.group_width();
  if (depth == 1 && width == 1) return c.C % 4 == 0 && c.R * c.S * 4 <= kMostWeights;
  const std::int64_t most = tensor_allowed(p) ? 8 : 16;
  return depth % 4 == 0 && width % 4 == 0 && depth <= most && width <= most &&
         c.R * c.S * depth * width <= kMostWeights;
}

}  // namespace

bool takes_groups(const ConvForward& p) { return takes(p, {p.x, p.w, p.y}) && epilogue_in_fours(p); }
bool takes_groups(const ConvBackwardInput& p) { return takes(p, {p.gy, p.w, p.gx}); }
bool takes_groups(const ConvBackwardWeight& p) { return takes(p, {p.x, p.gy, p.gw}); }
void run_groups(const ConvForward& p) {
  tensor_typed(p, [&]<class T>(T) { forward<T>(p); });
}
void run_groups(const ConvBackwardInput& p) {
  tensor_typed(p, [&]<class T>(T) { backward_input<T>(p); });
}
void run_groups(const ConvBackwardWeight& p) {
  tensor_typed(p, [&]<class T>(T) { backward_weight<T>(p); });
}

}  // namespace gradus::cuda
