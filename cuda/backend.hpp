#pragma once
// What a CUDA device does with memory: the verbs of core/device.hpp.

#include "core/device.hpp"

namespace gradus::cuda {

/// DeviceError that says why, where there is no such device.
Backend& backend_of(int index);

}  // namespace gradus::cuda
