#pragma once
// CUDA graphs: work recorded once and replayed as one launch. A step of a small network is 200 to 300 kernels of a few
// microseconds each, and launching them one by one takes longer than they run.

#include <cstdint>
#include <functional>

#include "cuda/runtime_api.hpp"

namespace gradus::cuda {

/// Whether what is queued on the current device is being recorded: nothing may wait for it then.
bool capturing();

/// What a function queues on the current device, to be done again with the same addresses. The memory it allocates
/// stays the graph's own until the graph is destroyed.
class Graph {
 public:
  /// Runs `work` once; what it queues is recorded, not done. It must wait for nothing (no item(), no copy to the host):
  /// a DeviceError says so. Whatever it queues ought to have run before, so that tables are uploaded and caches are
  /// warm.
  explicit Graph(const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Queues all of it.
  void replay();

 private:
  int device_;
  std::uint64_t pool_;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace gradus::cuda
