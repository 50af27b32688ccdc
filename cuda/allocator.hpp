#pragma once
// Device memory: a caching allocator.
//
// Asking the driver for memory waits for the device and costs up to a millisecond. So blocks are rounded to size
// classes (four to each power of two, at most a quarter is lost) and, once given back, serve the next request of their
// class: in steady state a training step asks the driver for nothing. Reuse needs no waiting because it is
// stream-ordered: a block goes back to the list of the stream that used it, and whoever takes it next queues behind.
// When the driver refuses, cached blocks are given back to it and it is asked again; then the request is a DeviceError
// with a table of what holds the memory.

#include <cstdint>
#include <string>

#include "core/device.hpp"

namespace gradus::cuda {

/// Bytes on the current stream of device `index`, aligned to 256.
void* allocate(int index, std::int64_t bytes);
void release(int index, void* data, std::int64_t bytes) noexcept;
/// The device that holds this address, or -1: host memory.
int device_of(const void* data);

MemoryStats allocator_stats(int index);
void reset_allocator_peak(int index);
/// Gives the cached blocks back to the driver.
void empty_device_cache(int index);
/// Refuses requests that would hold more than that; 0 is no limit. For sharing a GPU, and for trying what fits.
void limit_memory(int index, std::int64_t bytes);
/// What holds the memory, the largest first: "  layer1.0.conv1     12.0 MiB in   3 blocks", a line each.
std::string memory_table(int index);

/// Memory of a kernel for the time it is queued.
template <class T>
class DeviceWorkspace {
 public:
  explicit DeviceWorkspace(std::int64_t count);
  ~DeviceWorkspace() { release(device_, data_, bytes_); }
  DeviceWorkspace(const DeviceWorkspace&) = delete;
  DeviceWorkspace& operator=(const DeviceWorkspace&) = delete;
  T* data() const { return static_cast<T*>(data_); }

 private:
  std::int64_t bytes_;
  int device_;
  void* data_;
};

/// A small table that does not change (where windows begin, weights of an interpolation), in device memory. The same
/// bytes are uploaded once, so that a repeated step uploads nothing. Lives as long as the program.
const void* constant_bytes(const void* data, std::int64_t bytes);
template <class Container>
const typename Container::value_type* constant_table(const Container& values) {
  using T = typename Container::value_type;
  return static_cast<const T*>(
      constant_bytes(values.data(), static_cast<std::int64_t>(values.size()) * static_cast<std::int64_t>(sizeof(T))));
}

int current_device();  // cuda/runtime.hpp

template <class T>
DeviceWorkspace<T>::DeviceWorkspace(std::int64_t count)
    : bytes_(count * static_cast<std::int64_t>(sizeof(T))),
      device_(current_device()),
      data_(allocate(device_, bytes_)) {}

}  // namespace gradus::cuda
