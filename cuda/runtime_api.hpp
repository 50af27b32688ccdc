#pragma once
// The CUDA runtime API under its own names: NVIDIA's, or in a build without a GPU (GRADUS_SIMT) the emulator's part of
// it.

#if defined(GRADUS_SIMT)
#include "cuda/simt/runtime_api.hpp"
#else
#include <cuda_runtime_api.h>
#endif
