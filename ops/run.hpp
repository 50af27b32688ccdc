#pragma once
// Running a kernel: the one line between an operator and its device.

#include <utility>

#include "autograd/node.hpp"
#include "core/device.hpp"
#include "ops/profile.hpp"
#if defined(GRADUS_HAS_CUDA)
#include "cuda/kernel_scope.hpp"
#endif

namespace gradus {

#if defined(GRADUS_HAS_CUDA)
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

/// Runs `cpu()` or `cuda()`, the kernels of `kernel` ("conv2d.forward") on the two devices, timed when a Profile
/// listens. On the meta device nothing runs: the result has its shape and no values. Nothing moves to another device by
/// itself: without CUDA in the build, cuda is a DeviceError.
///
/// A build without CUDA compiles `cuda` but never calls it, so the kernels it names need not exist there.
template <class Cpu, class Cuda>
void run(const char* kernel, Device device, Cpu&& cpu, [[maybe_unused]] Cuda&& cuda) {
  if (device.type == DeviceType::meta) return;
  const KernelTimer timer(kernel);
  if (device.type == DeviceType::cpu) {
    cpu();
    return;
  }
  if constexpr (kHasCuda) {
#if defined(GRADUS_HAS_CUDA)
    const cuda::KernelScope scope(kernel, current_scope(), device.index);
#endif
    cuda();
  } else {
    fail<DeviceError>("{}: no kernel for {} in this build", kernel, to_string(device));
  }
}

/// The same for a kernel that only the CPU has.
template <class Cpu>
void run(const char* kernel, Device device, Cpu&& cpu) {
  run(kernel, device, std::forward<Cpu>(cpu),
      [&] { fail<DeviceError>("{}: has no kernel for {}", kernel, to_string(device)); });
}

/// The same for what is written in verbs that every device has (fill, copy, accumulate) or in other operators.
template <class Verbs>
void run_anywhere(const char* kernel, Device device, Verbs&& verbs) {
  run(kernel, device, verbs, verbs);
}

}  // namespace gradus
