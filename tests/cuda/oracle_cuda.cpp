// The oracle's cases of every operation on cuda:0. CTest's cuda.<op> runs the test cases that begin with "<op>:".

#include <doctest/doctest.h>

#include "tests/cuda/both.hpp"
#include "tests/harness/oracle_ops.hpp"

namespace gradus {

#define GRADUS_ORACLE(op)                                                     \
  TEST_CASE(#op ": values, gradients and state are the oracle's on cuda:0") { \
    CHECK(oracle::run_operation(#op, test::kCuda) > 0);                       \
  }
GRADUS_ORACLE(adaptive_avg_pool2d)
GRADUS_ORACLE(adaptive_max_pool2d)
GRADUS_ORACLE(avg_pool2d)
GRADUS_ORACLE(batch_norm)
GRADUS_ORACLE(binary_add)
GRADUS_ORACLE(binary_div)
GRADUS_ORACLE(binary_mul)
GRADUS_ORACLE(binary_sub)
GRADUS_ORACLE(cat)
GRADUS_ORACLE(composite)
GRADUS_ORACLE(conv2d)
GRADUS_ORACLE(conv_transpose2d)
GRADUS_ORACLE(cross_entropy)
GRADUS_ORACLE(interpolate)
GRADUS_ORACLE(linear)
GRADUS_ORACLE(local_response_norm)
GRADUS_ORACLE(log_softmax)
GRADUS_ORACLE(matmul)
GRADUS_ORACLE(max_pool2d)
GRADUS_ORACLE(max_unpool2d)
GRADUS_ORACLE(mse_loss)
GRADUS_ORACLE(nll_loss)
GRADUS_ORACLE(reduce)
GRADUS_ORACLE(shape)
GRADUS_ORACLE(softmax)
GRADUS_ORACLE(unary)

}  // namespace gradus
