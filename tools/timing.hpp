#pragma once
// How the benchmarks take a time.

#include <functional>

namespace gradus::program {

/// Median of as many runs as fit into `seconds`, at least three, after one that warms up. Milliseconds.
double median_ms(const std::function<void()>& run, double seconds);

}  // namespace gradus::program
