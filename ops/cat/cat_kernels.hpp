#pragma once
// The kernel of cat: a copy of one strided block into another, of any dtype.

#include "core/tensor.hpp"
#include "ops/candidates.hpp"

namespace gradus {

struct BlockCopyProblem {
  MemoryView x, y;  // one shape, one dtype
};

namespace cpu {
const Candidates<BlockCopyProblem>& block_copy();
}
namespace cuda {
const Candidates<BlockCopyProblem>& block_copy();
}

}  // namespace gradus
