#pragma once
// The rung of matmul's CUDA ladder for Hopper: see matmul_wgmma_cuda.cu.

#include "ops/matmul/matmul_kernels.hpp"

namespace gradus::cuda {

bool takes_wgmma(const MatmulProblem&);
void matmul_wgmma(const MatmulProblem&);

}  // namespace gradus::cuda
