// The error of a launch that the device refuses.
#include <string>

#include "core/error.hpp"
#include "cuda/runtime_api.hpp"

#if defined(GRADUS_SIMT)
#include "cuda/simt/launch.hpp"
#else
#include <cxxabi.h>

#include <cstdlib>
#endif

namespace gradus::cuda::detail {
namespace {

std::string kernel_name(const void* kernel) {
#if defined(GRADUS_SIMT)
  return simt::kernel_name(kernel);
#else
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess || !mangled) return "a kernel";
  int status = 0;
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : mangled;
  std::free(readable);
  return name.substr(0, name.rfind('('));  // without the parameters
#endif
}

}  // namespace

[[noreturn]] void launch_failed(cudaError_t error, const void* kernel, dim3 grid, dim3 block,
                                std::size_t shared_bytes) {
  (void)cudaGetLastError();  // it is reported here, and must not be found again by a later check
  fail<DeviceError>("cuda: launch of {}<<<({}, {}, {}), ({}, {}, {}), {}>>>: {}", kernel_name(kernel), grid.x, grid.y,
                    grid.z, block.x, block.y, block.z, shared_bytes, cudaGetErrorString(error));
}

}  // namespace gradus::cuda::detail
