#pragma once
// Launching a kernel: the one place, for both compilers.
//
//   launch(scale_kernel, dim3(blocks), dim3(kThreads), 0, stream, x, y, n);
//
// The arguments are converted to the kernel's parameters as a call would. Every launch is checked: what the device
// refuses (a grid too large, more shared memory than it has) is a DeviceError that names the kernel and its
// configuration. A fault *inside* a kernel shows on a GPU at the next call that waits for the stream; the emulator
// throws it from launch(). More than 48 KiB of dynamic shared memory needs the kernel's consent, which is given here.
// An empty grid launches nothing.

#include <tuple>
#include <utility>

#include "cuda/device_code.cuh"
#include "cuda/runtime_api.hpp"

#if defined(GRADUS_SIMT)
#include "cuda/simt/launch.hpp"
#endif

namespace gradus::cuda {

namespace detail {
/// Throws DeviceError: "cuda: launch of conv2d_forward<<<(64, 1, 1), (256, 1, 1), 49152>>>: invalid configuration".
[[noreturn]] void launch_failed(cudaError_t error, const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes);
}  // namespace detail

/// Queues kernel(args…) on `stream` with `shared_bytes` of dynamic shared memory.
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Args&&... args) {
  static_assert(sizeof...(Params) == sizeof...(Args), "launch: the kernel takes another number of arguments");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const void* function = reinterpret_cast<const void*>(kernel);
#if defined(GRADUS_SIMT)
  simt::launch(function, grid, block, shared_bytes, stream,
               [kernel, parameters = std::tuple<std::decay_t<Params>...>(std::forward<Args>(args)...)] {
                 std::apply(kernel, parameters);
               });
#else
  std::tuple<std::decay_t<Params>...> parameters(std::forward<Args>(args)...);
  const cudaError_t error = std::apply(
      [&](auto&... parameter) {
        void* pointers[] = {&parameter..., nullptr};
        if (shared_bytes > 48 * 1024) {
          const cudaError_t refused = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                           static_cast<int>(shared_bytes));
          if (refused != cudaSuccess) return refused;
        }
        return cudaLaunchKernel(function, grid, block, pointers, shared_bytes, stream);
      },
      parameters);
  if (error != cudaSuccess) detail::launch_failed(error, function, grid, block, shared_bytes);
#endif
}

}  // namespace gradus::cuda
