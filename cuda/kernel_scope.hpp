#pragma once
// Which kernel of which layer is being queued, and on which device.

#include <string>

namespace gradus::cuda {

/// Makes `device` current, and names what is queued while it lives: in an NVTX range that profilers show
/// ("conv2d.forward layer1.0.conv1"), and in the message of a fault. Scopes nest. `kernel` and `layer` must outlive it.
/// DeviceError where there is no such device.
class KernelScope {
 public:
  KernelScope(const char* kernel, const std::string& layer, int device);
  ~KernelScope();
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  const char* kernel_;
  const std::string* layer_;
  KernelScope* outer_;
  friend std::string running_kernels();
};

/// What was queued last, newest first ("conv2d.forward (layer1.0.conv1), batch_norm (layer1.0.bn1), …"): where to look
/// when a kernel has failed, for that shows later.
std::string running_kernels();

/// Tells the allocator how to call the holder of memory that is allocated now: by the path of the module that runs.
void name_holders_by(const std::string& (*layer)());

}  // namespace gradus::cuda
