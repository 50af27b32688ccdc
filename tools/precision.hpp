#pragma once
// --amp and --tf32: the formats in which a command computes on CUDA.

#include "core/device.hpp"
#include "core/dtype.hpp"

namespace gradus::program {

inline constexpr const char* kAmpHelp = "mixed precision: products and activations in bf16 (cuda)";
inline constexpr const char* kTf32Help = "products of f32 by tensor cores, which read 10 bits of mantissa (cuda)";

/// Switches TF32, and returns what Autocast casts to: bf16 or f32. DeviceError where an option was given and `device`
/// is none of CUDA's.
DType compute_on(Device device, bool amp, bool tf32);

}  // namespace gradus::program
