#pragma once
// Memory of a kernel for the time it runs: packed copies, partial sums. From the caching allocator, so it counts in the
// peak and costs no page faults in steady state.

#include <cstdint>

#include "core/device.hpp"

namespace gradus {

template <class T>
class Workspace {
 public:
  explicit Workspace(std::int64_t count)
      : bytes_(count * static_cast<std::int64_t>(sizeof(T))), data_(static_cast<T*>(backend(kCpu).allocate(bytes_))) {}
  ~Workspace() { backend(kCpu).release(data_, bytes_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  T* data() const { return data_; }

 private:
  std::int64_t bytes_;
  T* data_;
};

}  // namespace gradus
