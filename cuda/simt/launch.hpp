#pragma once
// Launching in emulation: what cuda/launch.cuh hands over.

#include <cstddef>
#include <functional>
#include <string>

#include "cuda/simt/runtime_api.hpp"

namespace gradus::simt {

/// Runs `thread` once for each thread of the grid (or records it, where the stream is being captured). Throws
/// DeviceError for a configuration the emulated GPU would refuse, and for a fault in the kernel, naming kernel, block
/// and threads.
void launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            std::function<void()> thread);

/// The kernel's name as written in the source, template arguments included: found in the program's symbols.
std::string kernel_name(const void* kernel);

/// Seeds the order in which blocks run (GRADUS_SIMT_SEED; 1 at the start).
void set_seed(unsigned seed);

}  // namespace gradus::simt
