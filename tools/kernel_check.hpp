#pragma once
// gradus bench kernel --check: the CUDA candidates of a kernel on a small problem, every memory access looked at
// (docs/checker.md).

#include <string>

#include "ops/conv2d/conv2d.hpp"

namespace gradus::program {

/// What to check. `kernel`: conv2d, conv2d.forward, conv2d.backward_input, conv2d.backward_weight or matmul.
struct KernelCheck {
  std::string kernel;
  Shape x, weight;  // of conv2d; of matmul the factors [m, k] and [k, n]
  Conv2dOptions options;
  std::string gpu;    // whose occupancy is told
  std::string ptxas;  // a file with the output of nvcc -Xptxas -v, for registers; may be empty
  bool as_json = false;
};

/// Prints, for each candidate in f32, TF32 and bf16, the findings and a table of source lines. Returns whether there
/// were no findings. Kernels must be instrumented: where they are not, the program gradus_checked beside this one takes
/// over; UsageError where there is none.
bool check_kernel(const KernelCheck& check);

}  // namespace gradus::program
