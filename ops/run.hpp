#pragma once
// Running a kernel: the one line between an operator and its device.

#include <chrono>

#include "core/device.hpp"
#include "ops/profile.hpp"

namespace gradus {

/// Runs `cpu()`, the CPU kernel of `kernel` ("conv2d.forward"), timed when a Profile listens. On the meta device nothing
/// runs: the result has its shape and no values. A device without a kernel is a DeviceError; nothing moves by itself.
template <class Cpu>
void run(const char* kernel, Device device, Cpu&& cpu) {
  if (device.type == DeviceType::meta) return;
  check<DeviceError>(device.type == DeviceType::cpu, "{}: no kernel for {} in this build", kernel, to_string(device));
  const KernelTimer timer(kernel);
  cpu();
}

}  // namespace gradus
