#pragma once
// A block of device memory that tensors share.

#include <cstdint>
#include <memory>

#include "core/device.hpp"

namespace gradus {

/// What a kernel made of a storage's contents and may use again: each keeps the version with it. Freed with the
/// storage.
struct Derived {
  virtual ~Derived() = default;
};

/// Owns its memory. `version` counts in-place writes, so that a tensor saved for backward notices being overwritten;
/// `writer` names the operator that wrote last.
class Storage {
 public:
  Storage(std::int64_t bytes, Device device) : data_(backend(device).allocate(bytes)), bytes_(bytes), device_(device) {}
  ~Storage() { backend(device_).release(data_, bytes_); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  std::uint64_t version = 0;
  const char* writer = "";
  std::shared_ptr<Derived> derived;

 private:
  void* data_;
  std::int64_t bytes_;
  Device device_;
};

}  // namespace gradus
