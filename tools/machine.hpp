#pragma once
// What the benchmarks say about the machine they ran on.

#include <string>
#include <vector>

namespace gradus::program {

struct Machine {
  std::string isa;   // of our kernels: "avx512"
  std::string blas;  // "OpenBLAS 0.3.21, SkylakeX kernels"
  std::vector<std::string> warnings;
};

/// Also checks what silently costs speed: OpenBLAS on kernels of an older CPU, and denormals that are not flushed.
Machine describe_machine();
/// "gradus 0.1.0".
std::string engine_name();

}  // namespace gradus::program
