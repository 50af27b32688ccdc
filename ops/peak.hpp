#pragma once
// What this machine can do at most, measured: the yardsticks of the benchmarks.

namespace gradus {

/// Fused multiply-adds in registers on all threads, f32: GFLOP/s, two operations each. Takes about 0.1 s.
double measure_flops();
/// Reading and writing arrays that no cache holds, on all threads: GB/s. Takes about 0.3 s.
struct Bandwidth {
  double read = 0, copy = 0;  // copy counts the bytes read and the bytes written
};
Bandwidth measure_bandwidth();

}  // namespace gradus
