// The optimisers' steps on CUDA: bound by memory, and for a small network by launches. So one launch updates up to
// kBatch tensors: which ones, and their coefficients, are in the kernel's parameters.

#include "cuda/each.cuh"
#include "nn/optim/optim_kernels.hpp"

namespace gradus::optim::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;
constexpr std::int64_t kPerBlock = kThreads * kPerThread;
constexpr int kBatch = 32;  // parameters of a kernel: 4 KiB at most

template <class Coefficients>
struct Batch {
  int count = 0;
  std::int64_t first_block[kBatch + 1] = {};  // of each tensor; its last is where the next begins
  Run run[kBatch];
  Coefficients coefficients[kBatch];
};

// The formulas are those of optim_simd.cpp, element by element.

template <class T>
__device__ void update_element(const Run& run, const SgdCoefficients& c, std::int64_t i) {
  T* w = static_cast<T*>(run.w);
  T* v = static_cast<T*>(run.state[0]);
  const T d = static_cast<T>(c.g_scale) * static_cast<const T*>(run.g)[i] + static_cast<T>(c.decay) * w[i];
  T step = static_cast<T>(c.by_gradient) * d;
  if (v) {
    const T velocity = static_cast<T>(c.momentum) * v[i] + static_cast<T>(c.gradient) * d;
    v[i] = velocity;
    step += static_cast<T>(c.by_velocity) * velocity;
  }
  w[i] = static_cast<T>(c.keep) * w[i] + step;
}

template <class T>
__device__ void update_element(const Run& run, const RmsPropCoefficients& c, std::int64_t i) {
  T* w = static_cast<T*>(run.w);
  T* s = static_cast<T*>(run.state[0]);
  T* b = static_cast<T*>(run.state[1]);
  T* m = static_cast<T*>(run.state[2]);
  const T alpha = static_cast<T>(c.alpha), rest = static_cast<T>(1 - c.alpha);
  const T d = static_cast<const T*>(run.g)[i] + static_cast<T>(c.decay) * w[i];
  T variance = alpha * s[i] + rest * (d * d);
  s[i] = variance;
  if (m) {
    const T mean = alpha * m[i] + rest * d;
    m[i] = mean;
    variance -= mean * mean;
  }
  const T inside = static_cast<T>(c.eps_inside ? c.eps : 0), outside = static_cast<T>(c.eps_inside ? 0 : c.eps);
  T step = static_cast<T>(c.inner_lr) * (d / (std::sqrt(variance + inside) + outside));
  if (b) {
    step += static_cast<T>(c.momentum) * b[i];
    b[i] = step;
  }
  w[i] -= static_cast<T>(c.outer_lr) * step;
}

template <class T>
__device__ void update_element(const Run& run, const AdamCoefficients& c, std::int64_t i) {
  T* w = static_cast<T*>(run.w);
  T* m = static_cast<T*>(run.state[0]);
  T* v = static_cast<T*>(run.state[1]);
  T* u = static_cast<T*>(run.state[2]);
  const T d = static_cast<const T*>(run.g)[i] + static_cast<T>(c.decay) * w[i];
  const T mean = m[i] + static_cast<T>(1 - c.beta1) * (d - m[i]);
  T square = static_cast<T>(c.beta2) * v[i] + static_cast<T>(1 - c.beta2) * (d * d);
  m[i] = mean;
  v[i] = square;
  if (u) {
    square = u[i] > square ? u[i] : square;
    u[i] = square;
  }
  w[i] = static_cast<T>(c.keep) * w[i] -
         static_cast<T>(c.lr) * mean / (std::sqrt(square) * static_cast<T>(c.scale) + static_cast<T>(c.eps));
}

template <class T>
__device__ void update_element(const Run& run, const AdagradCoefficients& c, std::int64_t i) {
  T* w = static_cast<T*>(run.w);
  T* s = static_cast<T*>(run.state[0]);
  const T d = static_cast<const T*>(run.g)[i] + static_cast<T>(c.decay) * w[i];
  const T sum = s[i] + d * d;
  s[i] = sum;
  w[i] -= static_cast<T>(c.lr) * d / (std::sqrt(sum) + static_cast<T>(c.eps));
}

template <class T, class Coefficients>
__global__ void __launch_bounds__(kThreads) update_kernel(Batch<Coefficients> batch) {
  int tensor = 0;
  while (static_cast<std::int64_t>(blockIdx.x) >= batch.first_block[tensor + 1]) ++tensor;
  const Run& run = batch.run[tensor];
  const std::int64_t begin = (blockIdx.x - batch.first_block[tensor]) * kPerBlock + threadIdx.x;
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const std::int64_t i = begin + k * kThreads;
    if (i < run.n) update_element<T>(run, batch.coefficients[tensor], i);
  }
}

template <class Coefficients>
void update_all(DType dtype, const std::vector<Run>& runs, const std::vector<Coefficients>& of_run) {
  using gradus::cuda::launch;
  using gradus::cuda::stream;
  for (std::size_t first = 0; first < runs.size(); first += kBatch) {
    Batch<Coefficients> batch;
    for (std::size_t i = first; i < std::min(runs.size(), first + kBatch); ++i) {
      batch.run[batch.count] = runs[i];
      batch.coefficients[batch.count] = of_run[i];
      batch.first_block[batch.count + 1] = batch.first_block[batch.count] + (runs[i].n + kPerBlock - 1) / kPerBlock;
      ++batch.count;
    }
    const dim3 grid(static_cast<unsigned>(batch.first_block[batch.count]));
    if (dtype == DType::f32)
      launch(update_kernel<float, Coefficients>, grid, dim3(kThreads), 0, stream(), batch);
    else
      launch(update_kernel<double, Coefficients>, grid, dim3(kThreads), 0, stream(), batch);
  }
}

}  // namespace

void update(DType dtype, const std::vector<Run>& runs, const std::vector<SgdCoefficients>& of_run) {
  update_all(dtype, runs, of_run);
}
void update(DType dtype, const std::vector<Run>& runs, const std::vector<RmsPropCoefficients>& of_run) {
  update_all(dtype, runs, of_run);
}
void update(DType dtype, const std::vector<Run>& runs, const std::vector<AdamCoefficients>& of_run) {
  update_all(dtype, runs, of_run);
}
void update(DType dtype, const std::vector<Run>& runs, const std::vector<AdagradCoefficients>& of_run) {
  update_all(dtype, runs, of_run);
}

}  // namespace gradus::optim::cuda
