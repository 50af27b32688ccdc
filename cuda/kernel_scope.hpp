#pragma once
// Which kernel of which layer is being queued, and on which device.

#include <span>
#include <string>

#include "core/error.hpp"
#include "core/tensor.hpp"

namespace gradus::cuda {

/// Makes `device` current, and names what is queued while it lives: in an NVTX range that profilers show
/// ("conv2d.forward layer1.0.conv1"), and, with the dtypes and shapes of the operands, in the message of a fault.
/// Scopes nest. All that is handed over must outlive it; operands may be undefined. DeviceError where there is no such
/// device.
class KernelScope {
 public:
  using Operands = std::span<const Tensor* const>;
  KernelScope(const char* kernel, const std::string& layer, int device, Operands operands = {});
  ~KernelScope();
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

  /// With GRADUS_CUDA_SYNC=1, waits for what was queued, so that a fault shows here.
  void finish() const;
  /// Throws the error again, with what was running:
  ///   in conv2d.forward (layer1.0.conv1) f32 [8, 64, 32, 32], f32 [64, 64, 3, 3], f32 [8, 64, 32, 32]
  [[noreturn]] void fault(const DeviceError& error) const;

 private:
  const char* kernel_;
  const std::string* layer_;
  Operands operands_;
  KernelScope* outer_;
  std::string text() const;
  friend std::string running_kernels();
};

/// What was queued last, newest first, a line each ("conv2d.forward (layer1.0.conv1) f32 [8, 64, 32, 32], …"): where to
/// look when a kernel has failed, for that shows later.
std::string running_kernels();

/// Tells the allocator how to call the holder of memory that is allocated now: by the path of the module that runs.
void name_holders_by(const std::string& (*layer)());

}  // namespace gradus::cuda
