// Batch normalisation on CUDA. Bound by memory. In units of x: forward reads it twice (statistics, apply) and writes it
// once, with a residual one more read; backward reads x and gy twice and writes gx once (and gres).
//
//   naive   a thread for each channel walks over all rows, in f64: the definition of the statistics
//   chunks  rows are cut into chunks; warps read 32 neighbouring channels. Each chunk gives its own moments (Chan,
//           Golub and LeVeque 1979), a second kernel joins them in order and leaves what the third needs per channel.
//           Elements go four to a load where channels come in fours
//
// x and y may be stored in bf16; everything per channel, and all arithmetic, is then f32 or f64.
//
// The gradient has the same two rungs. Of at most eight values per channel the terms of gx cancel almost entirely, and
// with them the digits of f32: those are computed in f64 by one thread a channel (as on the CPU).

#include "cuda/allocator.hpp"
#include "cuda/each.cuh"
#include "cuda/four.cuh"
#include "cuda/reduce.cuh"
#include "ops/batch_norm/batch_norm_kernels.hpp"

namespace gradus::cuda {
namespace {

constexpr int kChannels = kWarp;  // of a block: one row of a warp
constexpr int kRowsSide = 8;      // warps of a block
constexpr int kFewValues = 8;

__device__ bool mask_bit(const std::uint32_t* mask, std::int64_t e) { return (mask[e / 32] >> (e % 32) & 1u) != 0; }

/// Whether ReLU was open at element e of channel c, which is x. In Compute<T>, as the forward pass computed it.
template <class T>
__device__ bool open_at(const BatchNormGradient<T>& p, std::int64_t e, std::int64_t c, Compute<T> x) {
  if (p.gate == Gate::from_x) return std::fma(x, p.scale[c], p.shift[c]) > 0;
  return p.gate != Gate::from_bits || mask_bit(p.mask, e);
}
/// gy where ReLU was open, else 0.
template <class T>
__device__ Compute<T> gated(const BatchNormGradient<T>& p, std::int64_t e, std::int64_t c) {
  return open_at(p, e, c, device_convert<Compute<T>>(p.x[e])) ? device_convert<Compute<T>>(p.gy[e]) : 0;
}

/// Count, mean and sum of squared distances of some values.
struct Part {
  double count, mean, m2;
};
__device__ Part joined(const Part& a, const Part& b) {
  const double count = a.count + b.count;
  if (count == 0) return a;
  const double d = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + d * share, a.m2 + b.m2 + d * d * a.count * share};
}

/// What the statistics of channel c become: running statistics, scale and shift.
template <class T>
__device__ void settle(const BatchNormForward<T>& p, std::int64_t c, double mean, double var) {
  const double istd = 1 / std::sqrt(var + p.eps);
  const double scale = p.weight ? static_cast<double>(p.weight[c]) * istd : istd;
  p.mean[c] = mean;
  p.inv_std[c] = istd;
  using C = Compute<T>;
  p.scale[c] = device_convert<C>(scale);
  p.shift[c] = device_convert<C>((p.bias ? device_convert<double>(p.bias[c]) : 0.0) - mean * scale);
  if (!p.training || !p.running_mean) return;
  const auto n = static_cast<double>(p.rows);
  C& running_mean = p.running_mean[c * p.running_mean_step];
  C& running_var = p.running_var[c * p.running_var_step];
  running_mean = device_convert<C>((1 - p.momentum) * static_cast<double>(running_mean) + p.momentum * mean);
  running_var = device_convert<C>((1 - p.momentum) * static_cast<double>(running_var) + p.momentum * var * n / (n - 1));
}

// ---- apply: y = [relu] (x scale + shift [+ residual]), and the bits y > 0

constexpr int kApplyThreads = 256;

/// kElements (1 or 4) neighbours to a thread; of fours all are of one row, and lie where four can be loaded.
template <int kElements, class T>
__global__ void __launch_bounds__(kApplyThreads) apply_kernel(BatchNormApply<T> p) {
  const std::int64_t size = p.rows * p.channels;
  const std::int64_t threads = (size + kElements - 1) / kElements;
  // Whole warps take part to the end, for a word of the mask is made by several lanes.
  for (std::int64_t i = global_thread(); i / kWarp * kWarp < threads; i += global_threads()) {
    const std::int64_t e = i * kElements;
    unsigned bits = 0;
    if (e < size) {
      const std::int64_t c = e % p.channels;
      Four<T> v = load4(p.x + e, kElements), residual{};
      if (p.residual) residual = load4(p.residual + e, kElements);
#pragma unroll
      for (int k = 0; k < kElements; ++k) {
        v.at[k] = std::fma(v.at[k], p.scale[c + k], p.shift[c + k]);
        if (p.residual) v.at[k] += residual.at[k];
        if (p.relu && v.at[k] <= 0) v.at[k] = 0;
        bits |= (v.at[k] > 0 ? 1u : 0u) << k;
      }
      store4(p.y + e, v, kElements);
    }
    if (!p.mask) continue;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    unsigned word = bits << (lane * kElements % 32);
    constexpr int kLanes = 32 / kElements;  // that make a word
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) word |= __shfl_xor_sync(kAllLanes, word, offset);
    if (lane % kLanes == 0 && e < size) p.mask[e / 32] = word;
  }
}

template <class T>
void apply(const BatchNormApply<T>& p, bool fours) {
  const std::int64_t size = p.rows * p.channels;
  if (size == 0) return;
  if (fours && p.channels % 4 == 0 && aligned_for_four(p.x) && aligned_for_four(p.y) && aligned_for_four(p.residual))
    launch(apply_kernel<4, T>, blocks_for(size / 4, kApplyThreads), dim3(kApplyThreads), 0, stream(), p);
  else
    launch(apply_kernel<1, T>, blocks_for(size, kApplyThreads), dim3(kApplyThreads), 0, stream(), p);
}
template <class T>
BatchNormApply<T> apply_of(const BatchNormForward<T>& p) {
  return {p.rows, p.channels, p.channels, p.x, p.residual, p.scale, p.shift, p.relu, p.y, p.mask};
}

/// Outside training: statistics are what was tracked.
template <class T>
void settle_tracked(const BatchNormForward<T>& p) {
  each(p.channels, [=] __device__(std::int64_t c) {
    settle(p, c, static_cast<double>(p.running_mean[c * p.running_mean_step]),
           static_cast<double>(p.running_var[c * p.running_var_step]));
  });
}

// ---- naive

template <class T>
void settle_naive(const BatchNormForward<T>& p) {
  each(p.channels, [=] __device__(std::int64_t c) {
    double mean = 0, m2 = 0;
    for (std::int64_t i = 0; i < p.rows; ++i) mean += device_convert<double>(p.x[i * p.channels + c]);
    mean /= static_cast<double>(p.rows);
    for (std::int64_t i = 0; i < p.rows; ++i) {
      const double d = device_convert<double>(p.x[i * p.channels + c]) - mean;
      m2 += d * d;
    }
    settle(p, c, mean, m2 / static_cast<double>(p.rows));
  });
}

template <class T>
void forward_naive(const BatchNormForward<T>& p) {
  if (p.training)
    settle_naive(p);
  else
    settle_tracked(p);
  apply(apply_of(p), false);
}

// ---- chunks

/// Rows of a chunk: 64 to each warp, so that f32 sums stay short.
constexpr std::int64_t kChunkRows = 64 * kRowsSide;
std::int64_t chunks_of(std::int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }
dim3 chunk_grid(std::int64_t rows, std::int64_t channels) {
  return dim3(static_cast<unsigned>(chunks_of(rows)), static_cast<unsigned>((channels + kChannels - 1) / kChannels));
}

template <class T>
__global__ void __launch_bounds__(kChannels* kRowsSide)
    moments_kernel(const T* x, std::int64_t rows, std::int64_t channels, double* means, double* m2s) {
  __shared__ Part parts[kRowsSide][kChannels];
  const int column = static_cast<int>(threadIdx.x), row = static_cast<int>(threadIdx.y);
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.y) * kChannels + column;
  const std::int64_t begin = blockIdx.x * kChunkRows, end = begin + kChunkRows < rows ? begin + kChunkRows : rows;
  Part part{0, 0, 0};
  if (c < channels && begin + row < end) {
    // Distances from the first value: what the values share is no part of the sums.
    using C = Compute<T>;
    const C shift = device_convert<C>(x[(begin + row) * channels + c]);
    C s1 = 0, s2 = 0;
    int count = 0;
    for (std::int64_t i = begin + row; i < end; i += kRowsSide, ++count) {
      const C d = device_convert<C>(x[i * channels + c]) - shift;
      s1 += d;
      s2 += d * d;
    }
    const double n = count, sum = static_cast<double>(s1);
    const double m2 = static_cast<double>(s2) - sum * sum / n;
    part = {n, static_cast<double>(shift) + sum / n, m2 > 0 ? m2 : 0};
  }
  parts[row][column] = part;
  __syncthreads();
  if (row == 0 && c < channels) {
    for (int r = 1; r < kRowsSide; ++r) part = joined(part, parts[r][column]);
    means[blockIdx.x * channels + c] = part.mean;
    m2s[blockIdx.x * channels + c] = part.m2;
  }
}

constexpr int kSettleWarps = 4;

/// A warp for each channel joins its chunks.
template <class T>
__global__ void __launch_bounds__(kWarp* kSettleWarps)
    settle_chunks_kernel(BatchNormForward<T> p, std::int64_t chunks, const double* means, const double* m2s) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kSettleWarps + threadIdx.y;
  if (c >= p.channels) return;  // a whole warp
  Part part{0, 0, 0};
  for (std::int64_t k = lane; k < chunks; k += kWarp) {
    const std::int64_t left = p.rows - k * kChunkRows;
    const auto count = static_cast<double>(left < kChunkRows ? left : kChunkRows);
    part = joined(part, Part{count, means[k * p.channels + c], m2s[k * p.channels + c]});
  }
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const Part other{__shfl_down_sync(kAllLanes, part.count, offset), __shfl_down_sync(kAllLanes, part.mean, offset),
                     __shfl_down_sync(kAllLanes, part.m2, offset)};
    part = joined(part, other);  // lanes that have no partner make numbers that lane 0 never meets
  }
  if (lane == 0) settle(p, c, part.mean, part.m2 / static_cast<double>(p.rows));
}

template <class T>
void forward_chunks(const BatchNormForward<T>& p) {
  if (p.training) {
    const std::int64_t chunks = chunks_of(p.rows);
    const DeviceWorkspace<double> parts(2 * chunks * p.channels);
    double *means = parts.data(), *m2s = means + chunks * p.channels;
    launch(moments_kernel<T>, chunk_grid(p.rows, p.channels), dim3(kChannels, kRowsSide), 0, stream(), p.x, p.rows,
           p.channels, means, m2s);
    launch(settle_chunks_kernel<T>, blocks_for(p.channels, kSettleWarps), dim3(kWarp, kSettleWarps), 0, stream(), p,
           chunks, means, m2s);
  } else {
    settle_tracked(p);
  }
  apply(apply_of(p), true);
}

// ---- gradient: gx = a g + b (x - mean) + c per channel

template <class T>
struct Coefficients {
  Compute<T>*b, *c;
};

/// The per-channel results of sum g and sum g (x - mean).
template <class T>
__device__ void settle_gradient(const BatchNormGradient<T>& p, const Coefficients<T>& k, std::int64_t c, double sum_g,
                                double sum_gx) {
  using C = Compute<T>;
  const double istd = p.inv_std[c];
  if (p.gweight) p.gweight[c] = device_convert<C>(sum_gx * istd);
  if (p.gbias) p.gbias[c] = device_convert<C>(sum_g);
  const double share = p.training ? static_cast<double>(p.scale[c]) / static_cast<double>(p.rows) : 0;
  k.b[c] = device_convert<C>(-share * istd * istd * sum_gx);
  k.c[c] = device_convert<C>(-share * sum_g);
}

template <class T>
void sums_naive(const BatchNormGradient<T>& p, const Coefficients<T>& k) {
  each(p.channels, [=] __device__(std::int64_t c) {
    double sum_g = 0, sum_gx = 0;
    for (std::int64_t i = 0; i < p.rows; ++i) {
      const std::int64_t e = i * p.channels + c;
      const auto g = device_convert<double>(gated(p, e, c));
      sum_g += g;
      sum_gx += g * (device_convert<double>(p.x[e]) - static_cast<double>(device_convert<Compute<T>>(p.mean[c])));
    }
    settle_gradient(p, k, c, sum_g, sum_gx);
  });
}

template <class T>
__global__ void __launch_bounds__(kChannels* kRowsSide)
    gradient_sums_kernel(BatchNormGradient<T> p, double* sums_g, double* sums_gx) {
  __shared__ double shared_g[kRowsSide][kChannels];
  __shared__ double shared_gx[kRowsSide][kChannels];
  const int column = static_cast<int>(threadIdx.x), row = static_cast<int>(threadIdx.y);
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.y) * kChannels + column;
  const std::int64_t begin = blockIdx.x * kChunkRows, end = begin + kChunkRows < p.rows ? begin + kChunkRows : p.rows;
  using C = Compute<T>;
  C g_sum = 0, gx_sum = 0;
  if (c < p.channels) {
    const C mean = device_convert<C>(p.mean[c]);
    for (std::int64_t i = begin + row; i < end; i += kRowsSide) {
      const std::int64_t e = i * p.channels + c;
      const C g = gated(p, e, c);
      g_sum += g;
      gx_sum += g * (device_convert<C>(p.x[e]) - mean);
    }
  }
  shared_g[row][column] = static_cast<double>(g_sum);
  shared_gx[row][column] = static_cast<double>(gx_sum);
  __syncthreads();
  if (row == 0 && c < p.channels) {
    double total_g = 0, total_gx = 0;
    for (int r = 0; r < kRowsSide; ++r) {
      total_g += shared_g[r][column];
      total_gx += shared_gx[r][column];
    }
    sums_g[blockIdx.x * p.channels + c] = total_g;
    sums_gx[blockIdx.x * p.channels + c] = total_gx;
  }
}

template <class T>
__global__ void __launch_bounds__(kWarp* kSettleWarps)
    settle_gradient_kernel(BatchNormGradient<T> p, Coefficients<T> k, std::int64_t chunks, const double* sums_g,
                           const double* sums_gx) {
  const int lane = static_cast<int>(threadIdx.x);
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kSettleWarps + threadIdx.y;
  if (c >= p.channels) return;  // a whole warp
  double sum_g = 0, sum_gx = 0;
  for (std::int64_t i = lane; i < chunks; i += kWarp) {
    sum_g += sums_g[i * p.channels + c];
    sum_gx += sums_gx[i * p.channels + c];
  }
  sum_g = warp_sum(sum_g);
  sum_gx = warp_sum(sum_gx);
  if (lane == 0) settle_gradient(p, k, c, sum_g, sum_gx);
}

template <class T>
void sums_chunks(const BatchNormGradient<T>& p, const Coefficients<T>& k) {
  const std::int64_t chunks = chunks_of(p.rows);
  const DeviceWorkspace<double> parts(2 * chunks * p.channels);
  double *sums_g = parts.data(), *sums_gx = sums_g + chunks * p.channels;
  launch(gradient_sums_kernel<T>, chunk_grid(p.rows, p.channels), dim3(kChannels, kRowsSide), 0, stream(), p, sums_g,
         sums_gx);
  launch(settle_gradient_kernel<T>, blocks_for(p.channels, kSettleWarps), dim3(kWarp, kSettleWarps), 0, stream(), p, k,
         chunks, sums_g, sums_gx);
}

/// kElements (1 or 4) neighbours of one row to a thread.
template <int kElements, class T>
void write_elements(const BatchNormGradient<T>& p, const Coefficients<T>& k) {
  each(p.rows * p.channels / kElements, [=] __device__(std::int64_t i) {
    const std::int64_t e = i * kElements, c = e % p.channels;
    const Four<T> x = load4(p.x + e, kElements);
    Four<T> g = load4(p.gy + e, kElements), gx{};
#pragma unroll
    for (int j = 0; j < kElements; ++j) {
      if (!open_at(p, e + j, c + j, x.at[j])) g.at[j] = 0;
      gx.at[j] = std::fma(p.scale[c + j], g.at[j],
                          std::fma(k.b[c + j], x.at[j] - device_convert<Compute<T>>(p.mean[c + j]), k.c[c + j]));
    }
    if (p.gx) store4(p.gx + e, gx, kElements);
    if (p.gres) store4(p.gres + e, g, kElements);
  });
}

template <class T>
void write_gradient(const BatchNormGradient<T>& p, const Coefficients<T>& k) {
  const bool fours = p.channels % 4 == 0 && aligned_for_four(p.x) && aligned_for_four(p.gy) && aligned_for_four(p.gx) &&
                     aligned_for_four(p.gres);
  fours ? write_elements<4>(p, k) : write_elements<1>(p, k);
}

/// gx of a handful of rows, in f64, statistics included. Reads before it writes: gx may be gy.
template <class T>
void write_few(const BatchNormGradient<T>& p) {
  each(p.channels, [=] __device__(std::int64_t c) {
    const int rows = static_cast<int>(p.rows);
    double x[kFewValues], g[kFewValues], center = 0, m2 = 0, sum_g = 0, sum_gx = 0;
    const auto count = static_cast<double>(rows);
    for (int i = 0; i < rows; ++i) {
      x[i] = device_convert<double>(p.x[i * p.channels + c]);
      g[i] = device_convert<double>(gated(p, i * p.channels + c, c));
      center += x[i] / count;
    }
    for (int i = 0; i < rows; ++i) {
      x[i] -= center;
      m2 += x[i] * x[i];
      sum_g += g[i];
      sum_gx += g[i] * x[i];
    }
    const double slope = sum_gx / (m2 + count * p.eps);  // mean(g xhat) / std
    for (int i = 0; i < rows; ++i) {
      const std::int64_t e = i * p.channels + c;
      p.gx[e] = device_convert<T>(static_cast<double>(p.scale[c]) * (g[i] - sum_g / count - x[i] * slope));
      if (p.gres) p.gres[e] = device_convert<T>(g[i]);
    }
  });
}

template <class T>
void backward(const BatchNormGradient<T>& p, void (*sums)(const BatchNormGradient<T>&, const Coefficients<T>&)) {
  const DeviceWorkspace<Compute<T>> coefficients(2 * p.channels);
  const Coefficients<T> k{coefficients.data(), coefficients.data() + p.channels};
  sums(p, k);
  if (p.gx && p.training && p.rows <= kFewValues)
    write_few(p);
  else if (p.gx || p.gres)
    write_gradient(p, k);
}

}  // namespace

template <class T>
const Candidates<BatchNormForward<T>>& batch_norm() {
  static const Candidates<BatchNormForward<T>> list(
      "batch_norm", {{"chunks", "statistics from chunks of rows, joined in order; bound by memory",
                      always<BatchNormForward<T>>, forward_chunks<T>},
                     {"naive", "a thread for each channel, in f64", always<BatchNormForward<T>>, forward_naive<T>}});
  return list;
}

template <class T>
const Candidates<BatchNormGradient<T>>& batch_norm_backward() {
  static const Candidates<BatchNormGradient<T>> list(
      "batch_norm.backward",
      {{"chunks", "sums from chunks of rows, added in order; bound by memory", always<BatchNormGradient<T>>,
        [](const BatchNormGradient<T>& p) { backward(p, sums_chunks<T>); }},
       {"naive", "a thread for each channel, in f64", always<BatchNormGradient<T>>,
        [](const BatchNormGradient<T>& p) { backward(p, sums_naive<T>); }}});
  return list;
}

template <class T>
void batch_norm_apply(const BatchNormApply<T>& p) {
  apply(p, true);
}

template <class T>
void batch_norm_expand_mask(const std::uint32_t* mask, std::int64_t elements, T* open) {
  each(elements, [=] __device__(std::int64_t e) { open[e] = device_convert<T>(mask_bit(mask, e) ? 1.0f : 0.0f); });
}

#define GRADUS_INSTANTIATE(T)                                             \
  template const Candidates<BatchNormForward<T>>& batch_norm();           \
  template const Candidates<BatchNormGradient<T>>& batch_norm_backward(); \
  template void batch_norm_apply(const BatchNormApply<T>&);               \
  template void batch_norm_expand_mask(const std::uint32_t*, std::int64_t, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
GRADUS_INSTANTIATE(bf16)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::cuda
