#pragma once
// What the emulator's tests share.

#include <cstddef>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "cuda/launch.cuh"

namespace gradus::simt::test {

/// Device memory with values.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t n) : n_(n) {
    check<DeviceError>(cudaMalloc(&data_, n * sizeof(T)) == cudaSuccess, "full");
  }
  Buffer(std::size_t n, T value) : Buffer(std::vector<T>(n, value)) {}
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    cudaMemcpy(data_, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice);
  }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* data() const { return data_; }
  std::vector<T> values() const {
    std::vector<T> v(n_);
    cudaMemcpy(v.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost);
    return v;
  }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

/// The message of the DeviceError that fn throws; empty if it throws none.
template <class Fn>
std::string error_of(Fn fn) {
  try {
    fn();
  } catch (const DeviceError& e) {
    return e.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gradus::simt::test
