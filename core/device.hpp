#pragma once
// Devices, and the few verbs each one must know: its backend.

#include <cstdint>
#include <string>

#include "core/dtype.hpp"
#include "core/shape.hpp"

namespace gradus {

/// cpu computes; cuda is an NVIDIA GPU; meta has shapes but no memory: operators run on it without computing, which is
/// how `gradus summary` knows a network's shapes and its memory in milliseconds.
enum class DeviceType : std::uint8_t { cpu, cuda, meta };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{DeviceType::cpu, 0};
inline constexpr Device kMeta{DeviceType::meta, 0};

std::string to_string(Device);                     // "cpu", "cuda:0", "meta"
Device device_from_name(const std::string& name);  // throws ValueError

struct MemoryStats {
  std::int64_t current = 0;             // bytes held by live tensors, as rounded by the allocator
  std::int64_t peak = 0;                // highest `current` since reset_peak()
  std::int64_t reserved = 0;            // bytes obtained from the system, in use or cached
  std::int64_t allocations = 0;         // requests so far
  std::int64_t system_allocations = 0;  // requests that had to go to the system
};

/// A strided block of elements, for the verbs below.
struct MemoryView {
  void* data;
  DType dtype;
  Shape shape;
  Strides strides;  // in elements
};

/// What a device must be able to do with memory. Everything else is an operator.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual void* allocate(std::int64_t bytes) = 0;  // 64-byte aligned; DeviceError when full
  virtual void release(void* data, std::int64_t bytes) noexcept = 0;
  virtual MemoryStats memory_stats() const = 0;
  virtual void reset_peak() = 0;
  virtual void fill(const MemoryView& y, double value) = 0;
  virtual void copy(const MemoryView& x, const MemoryView& y) = 0;        // same shape; converts dtype; y = x
  virtual void accumulate(const MemoryView& x, const MemoryView& y) = 0;  // same shape and dtype; y += x
};

/// The device's backend; DeviceError where this build or machine has none.
Backend& backend(Device);
/// Called once by the cuda layer.
void register_cuda_backend(Backend* (*find)(int index));

MemoryStats memory_stats(Device);
void reset_peak_memory(Device);
/// Gives the CPU's cached free blocks back to the system.
void empty_cache();

}  // namespace gradus
