#include "cuda/graph.hpp"

#include <atomic>

#include "cuda/graph_memory.hpp"
#include "cuda/runtime.hpp"

namespace gradus::cuda {
namespace {
std::atomic<std::uint64_t> pools{0};
}  // namespace

bool capturing() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check_cuda(cudaStreamIsCapturing(stream(), &status), "cudaStreamIsCapturing");
  return status == cudaStreamCaptureStatusActive;
}

Graph::Graph(const std::function<void()>& work) : device_(current_device()), pool_(++pools) {
  cudaGraph_t recorded = nullptr;
  begin_pool(device_, pool_);
  try {
    // Thread-local: what other threads do meanwhile is their own affair.
    check_cuda(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    work();
    check_cuda(cudaStreamEndCapture(stream(), &recorded), "cudaStreamEndCapture");
    check_cuda(cudaGraphInstantiate(&graph_, recorded, 0), "cudaGraphInstantiate");
  } catch (...) {
    if (recorded == nullptr) (void)cudaStreamEndCapture(stream(), &recorded);
    (void)cudaGetLastError();
    if (recorded != nullptr) (void)cudaGraphDestroy(recorded);
    end_pool(device_);
    drop_pool(device_, pool_);
    throw;
  }
  (void)cudaGraphDestroy(recorded);
  end_pool(device_);
}

Graph::~Graph() {
  (void)cudaDeviceSynchronize();
  (void)cudaGraphExecDestroy(graph_);
  drop_pool(device_, pool_);
}

void Graph::replay() { check_cuda(cudaGraphLaunch(graph_, stream()), "cudaGraphLaunch"); }

}  // namespace gradus::cuda
