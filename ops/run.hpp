#pragma once
// Running a kernel: the one line between an operator and its device.

#include <array>
#include <concepts>
#include <span>
#include <utility>

#include "autograd/node.hpp"
#include "core/device.hpp"
#include "core/tensor.hpp"
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

/// Where a kernel runs, and the tensors that it reads and writes: {x, weight, y}. It runs on the first one's device;
/// the message of a fault shows all that are defined. They must outlive the run. A device alone is taken too.
class Operands {
 public:
  Operands(Device device) : device_(device) {}  // NOLINT: a device is enough
  template <std::same_as<Tensor>... Rest>
  Operands(const Tensor& first, const Rest&... rest)  // NOLINT: so is a tensor
      : device_(first.device()), tensors_{&first, &rest...}, count_(1 + sizeof...(rest)) {}

  Device device() const { return device_; }
  std::span<const Tensor* const> tensors() const { return {tensors_.data(), count_}; }

 private:
  Device device_;
  std::array<const Tensor*, 8> tensors_{};
  std::size_t count_ = 0;
};

/// Runs `cpu()` or `cuda()`, the kernels of `kernel` ("conv2d.forward") on the two devices, timed when a Profile
/// listens. On the meta device nothing runs: the result has its shape and no values. Nothing moves to another device by
/// itself: without CUDA in the build, cuda is a DeviceError.
///
/// A build without CUDA compiles `cuda` but never calls it, so the kernels it names need not exist there.
template <class Cpu, class Cuda>
void run(const char* kernel, const Operands& operands, Cpu&& cpu, [[maybe_unused]] Cuda&& cuda) {
  const Device device = operands.device();
  if (device.type == DeviceType::meta) return;
  const KernelTimer timer(kernel);
  if (device.type == DeviceType::cpu) {
    cpu();
    return;
  }
  if constexpr (kHasCuda) {
#if defined(GRADUS_HAS_CUDA)
    const cuda::KernelScope scope(kernel, current_scope(), device.index, operands.tensors());
    try {
      cuda();
      scope.finish();
    } catch (const DeviceError& error) {
      scope.fault(error);
    }
#endif
  } else {
    fail<DeviceError>("{}: no kernel for {} in this build", kernel, to_string(device));
  }
}

/// The same for a kernel that only the CPU has.
template <class Cpu>
void run(const char* kernel, const Operands& operands, Cpu&& cpu) {
  run(kernel, operands, std::forward<Cpu>(cpu),
      [&] { fail<DeviceError>("{}: has no kernel for {}", kernel, to_string(operands.device())); });
}

/// The same for what is written in verbs that every device has (fill, copy, accumulate) or in other operators.
template <class Verbs>
void run_anywhere(const char* kernel, const Operands& operands, Verbs&& verbs) {
  run(kernel, operands, verbs, verbs);
}

}  // namespace gradus
