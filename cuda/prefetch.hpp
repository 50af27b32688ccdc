#pragma once
// Batches to the device ahead of time, beside the computation.

#include <memory>
#include <vector>

#include "core/tensor.hpp"
#include "cuda/runtime.hpp"

namespace gradus::cuda {

/// Sends tensors from the host through pinned memory on a stream of its own. What is queued on the device afterwards
/// waits for the arrival; the host does not. One thread at a time.
class Prefetcher {
 public:
  explicit Prefetcher(Device device);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// x on the device, same dtype, shape and memory order (dense); x may be freed at once.
  Tensor send(const Tensor& x);

 private:
  struct Buffer;  // pinned memory, and when it is free again
  Buffer& free_buffer(std::int64_t bytes);

  Device device_;
  std::unique_ptr<Stream> copies_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace gradus::cuda
