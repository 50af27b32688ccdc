#pragma once
// conv2d's kernels on a given problem, for `gradus bench kernel`.

#include "ops/bench.hpp"
#include "ops/conv2d/conv2d.hpp"

namespace gradus {

/// forward, backward_input and backward_weight of one convolution on random operands. Errors: conv2d's.
std::vector<KernelCase> conv2d_kernel_cases(const Shape& x, const Shape& weight, const Conv2dOptions& options,
                                            Device device = kCpu, DType dtype = DType::f32);

}  // namespace gradus
