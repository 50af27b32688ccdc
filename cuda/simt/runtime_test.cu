// The runtime API: memory, streams, events, capture and replay.
#include <doctest/doctest.h>

#include "cuda/simt/device_memory.hpp"
#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;

__global__ void add(float* x, float v) { x[blockIdx.x * blockDim.x + threadIdx.x] += v; }

}  // namespace

TEST_CASE("cudaMalloc: refuses more than the device has, and gives back what is freed") {
  const std::size_t before = device_memory(0), used = device_memory_used(0);
  set_device_memory(0, used + 1000);
  void *a = nullptr, *b = nullptr;
  CHECK(cudaMalloc(&a, 600) == cudaSuccess);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 256 == 0);
  CHECK(cudaMalloc(&b, 600) == cudaErrorMemoryAllocation);
  CHECK(b == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaFree(a) == cudaSuccess);
  CHECK(cudaMalloc(&b, 600) == cudaSuccess);
  CHECK(cudaFree(b) == cudaSuccess);
  CHECK(cudaFree(b) == cudaErrorInvalidValue);
  (void)cudaGetLastError();
  set_device_memory(0, before);
}

TEST_CASE("cudaMemcpy: refuses what is not device memory, or not that much of it") {
  const Buffer<float> x(4, 1.0f);
  float host[8] = {};
  CHECK(cudaMemcpy(host, x.data(), 16, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(host[3] == 1.0f);
  CHECK(cudaMemcpy(host, x.data(), 32, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(host + 4, host, 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  (void)cudaGetLastError();
}

TEST_CASE("cudaMemcpy2D: copies rows of a pitch") {
  const Buffer<float> x(std::vector<float>{1, 2, 3, 4, 5, 6});
  float rows[2][2] = {};
  CHECK(cudaMemcpy2D(rows, 8, x.data(), 12, 8, 2, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(rows[1][0] == 4.0f);
  CHECK(rows[1][1] == 5.0f);
}

TEST_CASE("graphs: captured work is not done then, and done again at every launch") {
  const Buffer<float> x(64, 0.0f), y(64, 0.0f);
  cudaStream_t stream = nullptr, other = nullptr;
  cudaEvent_t fork = nullptr;
  cudaStreamCreate(&stream), cudaStreamCreate(&other);
  cudaEventCreate(&fork);
  CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  launch(add, 2, 32, 0, stream, x.data(), 1.0f);
  cudaEventRecord(fork, stream);
  cudaStreamWaitEvent(other, fork);  // joins the capture
  cudaMemcpyAsync(y.data(), x.data(), 256, cudaMemcpyDeviceToDevice, other);
  cudaStreamCaptureStatus status{};
  cudaStreamIsCapturing(other, &status);
  CHECK(status == cudaStreamCaptureStatusActive);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  cudaStreamIsCapturing(other, &status);
  CHECK(status == cudaStreamCaptureStatusNone);
  CHECK(x.values()[0] == 0.0f);
  cudaGraphExec_t exec = nullptr;
  CHECK(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
  cudaGraphDestroy(graph);
  for (int i = 0; i < 3; ++i) CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
  CHECK(x.values() == std::vector<float>(64, 3.0f));
  CHECK(y.values() == std::vector<float>(64, 3.0f));
  cudaGraphExecDestroy(exec);
  cudaEventDestroy(fork);
  cudaStreamDestroy(stream), cudaStreamDestroy(other);
  (void)cudaGetLastError();
}

TEST_CASE("cudaGetDeviceProperties: an emulated GPU says that it is one") {
  cudaDeviceProp p;
  CHECK(cudaGetDeviceProperties(&p, 0) == cudaSuccess);
  CHECK(std::string(p.name) == "Gradus emulated GPU (sm_90)");
  CHECK(cudaGetDeviceProperties(&p, 99) == cudaErrorInvalidDevice);
  (void)cudaGetLastError();
}

}  // namespace gradus::simt::test
