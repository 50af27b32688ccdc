#include <cstdio>

#include "cuda/launch.cuh"
#include "cuda/simt/checker.hpp"

// Transposes x [n, n] by tiles of 32 x 32.
__global__ void transpose(const float* x, float* y, int n) {
  __shared__ float tile[32][32];
  const int bx = 32 * blockIdx.x, by = 32 * blockIdx.y;
  tile[threadIdx.y][threadIdx.x] = x[(by + threadIdx.y) * n + bx + threadIdx.x];
  y[(bx + threadIdx.y) * n + by + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}

int main() {
  const int n = 64;
  float *x, *y;
  cudaMalloc(&x, n * n * sizeof(float));
  cudaMalloc(&y, n * n * sizeof(float));
  cudaMemset(x, 0, n * n * sizeof(float));
  const auto report = gradus::simt::check_kernels(
      [&] { gradus::cuda::launch(transpose, dim3(n / 32, n / 32), dim3(32, 32), 0, nullptr, x, y, n); });
  std::puts(to_string(report).c_str());
}
