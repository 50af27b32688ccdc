#pragma once
// Devices, streams and events, with errors that say what to do.
//
// All work of a device goes to one stream, so what was queued earlier has happened; only transfers ahead of time run on
// another (cuda/prefetch.hpp). A kernel's fault shows at the next call that waits: its message names the kernels queued
// last, and GRADUS_CUDA_SYNC=1 waits after each one so that it names the culprit.

#include <cstdint>
#include <string>

#include "cuda/runtime_api.hpp"

namespace gradus::cuda {

/// DeviceError unless cudaSuccess: "cuda: <call>: <CUDA's words>", then the kernels queued last.
void check_cuda(cudaError_t error, const char* call);

/// Devices this program can use. 0 where there is no driver, none fits, or none is there; never throws.
int device_count();
/// Why device `index` cannot be used; empty if it can. "no NVIDIA driver is installed (use --device cpu)", …
std::string why_unavailable(int index);

struct DeviceInfo {
  std::string name;          // "NVIDIA H200", "emulated"
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::int64_t memory = 0;         // bytes
  std::int64_t shared_memory = 0;  // bytes a block may ask for
  bool emulated = false;
};
/// DeviceError that says why_unavailable().
const DeviceInfo& device_info(int index);

/// The device whose memory and stream this thread uses; 0 at first.
int current_device();
void set_device(int index);

/// The stream of the current device on which everything is queued.
cudaStream_t stream();
/// Waits until everything queued on the current device has happened.
void synchronize();

/// Queues on another stream while it lives (this thread).
class StreamScope {
 public:
  explicit StreamScope(cudaStream_t stream);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  cudaStream_t before_;
};

/// A stream of its own.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in a stream's work.
class Event {
 public:
  explicit Event(bool timed = false);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t on);
  bool happened() const;                // has everything before it been done?
  void wait() const;                    // the host waits
  void wait_on(cudaStream_t on) const;  // that stream waits
  /// Milliseconds from `begin` to here; both timed, and happened.
  float since(const Event& begin) const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// Whether f32 products may be computed in TF32 (8 bits of exponent, 10 of mantissa, f32 sums). Off at first.
bool tf32_allowed();
void allow_tf32(bool allowed);

}  // namespace gradus::cuda
