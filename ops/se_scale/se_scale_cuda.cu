// se_scale on CUDA. Bound by memory: forward reads x (and the residual) and writes y; backward reads gy and x and
// writes gx (and the residual's gradient).
//   naive   a thread for each element; the gates' gradients by a thread for each channel of each image
//   blocks  the gates' gradients by blocks of 32 channels: warps read neighbours, eight rows side by side

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/reduce.cuh"
#include "ops/se_scale/se_scale_kernels.hpp"

namespace gradus::cuda {
namespace {

__device__ bool bit_at(const std::uint32_t* bits, std::int64_t e) { return (bits[e / 32] >> (e % 32) & 1u) != 0; }

// ---- forward

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) forward_kernel(SeScaleForward<T> p) {
  const std::int64_t image = p.rows * p.channels, size = p.images * image;
  // Whole warps take part to the end, for a warp makes a word of bits.
  for (std::int64_t e = global_thread(); e / kWarp * kWarp < size; e += global_threads()) {
    using C = Compute<T>;
    C v = 0;
    if (e < size) {
      v = device_convert<C>(p.x[e]) * device_convert<C>(p.s[e / image * p.channels + e % p.channels]);
      if (p.residual) v += device_convert<C>(p.residual[e]);
      if (p.relu && v <= 0) v = 0;
      p.y[e] = device_convert<T>(v);
    }
    if (!p.bits) continue;
    const unsigned word = __ballot_sync(kAllLanes, v > 0);
    if (threadIdx.x % kWarp == 0) p.bits[e / 32] = word;
  }
}

template <class T>
void forward(const SeScaleForward<T>& p) {
  const std::int64_t size = p.images * p.rows * p.channels;
  if (size > 0) launch(forward_kernel<T>, blocks_for(size, kThreads), dim3(kThreads), 0, stream(), p);
}

// ---- backward

template <class T>
__device__ Compute<T> gated(const SeScaleBackward<T>& p, std::int64_t e, std::int64_t gate) {
  using C = Compute<T>;
  if (p.gate == Gate::from_x && !(device_convert<C>(p.x[e]) * device_convert<C>(p.s[gate]) > 0)) return 0;
  if (p.gate == Gate::from_bits && !bit_at(p.bits, e)) return 0;
  return device_convert<C>(p.gy[e]);
}

/// Before elements(): gx or gres may be gy.
template <class T>
void gates_naive(const SeScaleBackward<T>& p) {
  each(p.images * p.channels, [=] __device__(std::int64_t i) {
    const std::int64_t n = i / p.channels, c = i % p.channels;
    double sum = 0;
    for (std::int64_t row = 0; row < p.rows; ++row) {
      const std::int64_t e = (n * p.rows + row) * p.channels + c;
      sum += device_convert<double>(gated(p, e, i)) * device_convert<double>(p.x[e]);
    }
    p.gs[i] = device_convert<T>(sum);
  });
}

template <class T>
void elements(const SeScaleBackward<T>& p) {
  each(p.images * p.rows * p.channels, [=] __device__(std::int64_t e) {
    const std::int64_t gate = e / (p.rows * p.channels) * p.channels + e % p.channels;
    const Compute<T> g = gated(p, e, gate);
    if (p.gres) p.gres[e] = device_convert<T>(g);
    if (p.gx) p.gx[e] = device_convert<T>(g * device_convert<Compute<T>>(p.s[gate]));
  });
}

constexpr int kRowsSide = 8;

template <class T>
__global__ void __launch_bounds__(kWarp* kRowsSide) gates_kernel(SeScaleBackward<T> p) {
  __shared__ double sums[kRowsSide][kWarp];
  const std::int64_t n = blockIdx.x, c = static_cast<std::int64_t>(blockIdx.y) * kWarp + threadIdx.x;
  double total = 0;
  if (c < p.channels)
    for (std::int64_t row = threadIdx.y; row < p.rows; row += kRowsSide) {
      const std::int64_t e = (n * p.rows + row) * p.channels + c;
      total += device_convert<double>(gated(p, e, n * p.channels + c) * device_convert<Compute<T>>(p.x[e]));
    }
  sums[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y == 0 && c < p.channels) {
    for (int r = 1; r < kRowsSide; ++r) total += sums[r][threadIdx.x];
    p.gs[n * p.channels + c] = device_convert<T>(total);
  }
}

template <class T>
void gates_blocks(const SeScaleBackward<T>& p) {
  const dim3 grid(static_cast<unsigned>(p.images), static_cast<unsigned>((p.channels + kWarp - 1) / kWarp));
  launch(gates_kernel<T>, grid, dim3(kWarp, kRowsSide), 0, stream(), p);
}

template <class T, void (*gates)(const SeScaleBackward<T>&)>
void backward(const SeScaleBackward<T>& p) {
  if (p.gs) gates(p);
  if (p.gx || p.gres) elements(p);
}

}  // namespace

template <class T>
const Candidates<SeScaleForward<T>>& se_scale() {
  using Problem = SeScaleForward<T>;
  static const Candidates<Problem> list(
      "se_scale.forward", {{"naive", "a thread for each element; bound by memory", always<Problem>, forward<T>}});
  return list;
}
template <class T>
const Candidates<SeScaleBackward<T>>& se_scale_backward() {
  using Problem = SeScaleBackward<T>;
  static const Candidates<Problem> list(
      "se_scale.backward",
      {{"blocks", "a block for 32 gates; bound by memory", always<Problem>, backward<T, gates_blocks<T>>},
       {"naive", "a thread for each gate", always<Problem>, backward<T, gates_naive<T>>}});
  return list;
}
template <class T>
void se_scale_expand_bits(const std::uint32_t* bits, std::int64_t elements, T* open) {
  each(elements, [=] __device__(std::int64_t e) { open[e] = device_convert<T>(bit_at(bits, e) ? 1.0f : 0.0f); });
}

#define GRADUS_INSTANTIATE(T)                                         \
  template const Candidates<SeScaleForward<T>>& se_scale();           \
  template const Candidates<SeScaleBackward<T>>& se_scale_backward(); \
  template void se_scale_expand_bits(const std::uint32_t*, std::int64_t, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
GRADUS_INSTANTIATE(bf16)
#undef GRADUS_INSTANTIATE

}  // namespace gradus::cuda
