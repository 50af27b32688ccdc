#pragma once
// Memory of a kernel for the time it runs: packed copies, partial sums. From the caching allocator, so it counts in the
// peak and costs no page faults in steady state.

#include <algorithm>
#include <cstdint>

#include "core/device.hpp"
#include "core/parallel.hpp"

namespace gradus {

template <class T>
class Workspace {
 public:
  explicit Workspace(std::int64_t count, Device device = kCpu)
      : device_(device),
        bytes_(count * static_cast<std::int64_t>(sizeof(T))),
        data_(static_cast<T*>(backend(device).allocate(bytes_))) {}
  ~Workspace() { backend(device_).release(data_, bytes_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  T* data() const { return data_; }  // null on the meta device, which counts the bytes alone

 private:
  Device device_;
  std::int64_t bytes_;
  T* data_;
};

/// How many of a parallel_for's tasks hold a workspace of their own at one time.
inline std::int64_t tasks_at_once(std::int64_t tasks) { return std::min<std::int64_t>(tasks, num_threads()); }

}  // namespace gradus
