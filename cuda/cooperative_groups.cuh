#pragma once
// Cooperative groups: CUDA's headers, or the emulator's form of the part of them that docs/emulator.md lists.

#if defined(GRADUS_SIMT)
#include "cuda/simt/cooperative_groups.hpp"
#else
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#endif
