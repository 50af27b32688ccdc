// Copying a block into its place on the CPU.
//   reference  the device's own copy
//   rows       equally spaced rows (a dense block's 12 to 48 channels in a row of hundreds); bound by memory

#include <cstring>

#include "core/strided.hpp"
#include "ops/cat/cat_kernels.hpp"

namespace gradus::cpu {
namespace {

StridedLoop<2> plan(const BlockCopyProblem& p) { return {p.y.shape, {&p.y.strides, &p.x.strides}}; }

bool equal_rows(const BlockCopyProblem& p) {
  const StridedLoop<2> loop = plan(p);
  return loop.total > 0 && loop.rank == 2 && loop.inner_stride(0) == 1 && loop.inner_stride(1) == 1;
}

void rows(const BlockCopyProblem& p) {
  const StridedLoop<2> loop = plan(p);
  const std::int64_t bytes = dtype_size(p.y.dtype), n = loop.inner() * bytes;
  const std::int64_t y_step = loop.stride[0][0] * bytes, x_step = loop.stride[1][0] * bytes;
  const auto* x = static_cast<const char*>(p.x.data);
  auto* y = static_cast<char*>(p.y.data);
  parallel_ranges(loop.size[0], std::max<std::int64_t>(1, 4 * kGrain / n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      std::memcpy(y + row * y_step, x + row * x_step, static_cast<std::size_t>(n));
  });
}

void reference(const BlockCopyProblem& p) { backend(kCpu).copy(p.x, p.y); }

}  // namespace

const Candidates<BlockCopyProblem>& block_copy() {
  static const Candidates<BlockCopyProblem> candidates(
      "cat", {{"rows", "equally spaced rows; bound by memory", equal_rows, rows},
              {"reference", "the device's copy", always<BlockCopyProblem>, reference}});
  return candidates;
}

}  // namespace gradus::cpu
