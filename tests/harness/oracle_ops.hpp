#pragma once
// Cases of ops/<op>.json on a device: value, gradients and state afterwards, in f64 and f32, contiguous and
// channels-last.

#include <string>

#include "core/device.hpp"

namespace gradus::oracle {

/// Runs all cases of one operation (a file's stem) and CHECKs them; returns how many there were.
int run_operation(const std::string& op, Device device);

}  // namespace gradus::oracle
