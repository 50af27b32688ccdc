// Copying a block into its place on CUDA. Bound by memory.
//   strided  the device's own copy: one thread for each element
//   rows     equally spaced rows of whole 16 bytes (a dense block's 12 to 48 channels): a load for four f32

#include "core/strided.hpp"
#include "cuda/backend.hpp"
#include "cuda/each.cuh"
#include "ops/cat/cat_kernels.hpp"

namespace gradus::cuda {
namespace {

/// Rows of `words` 16-byte words.
struct Rows {
  bool fit = false;
  std::int64_t rows = 0, words = 0, x_step = 0, y_step = 0;

  explicit Rows(const BlockCopyProblem& p) {
    const StridedLoop<2> loop(p.y.shape, {&p.y.strides, &p.x.strides});
    const std::int64_t size = dtype_size(p.y.dtype);
    constexpr std::int64_t kWord = sizeof(uint4);
    if (loop.total == 0 || loop.rank > 2 || loop.inner_stride(0) != 1 || loop.inner_stride(1) != 1) return;
    rows = loop.rank == 2 ? loop.size[0] : 1;
    y_step = loop.rank == 2 ? loop.stride[0][0] * size : 0;
    x_step = loop.rank == 2 ? loop.stride[1][0] * size : 0;
    const auto whole = [](std::int64_t bytes) { return bytes % kWord == 0; };
    fit = whole(loop.inner() * size) && whole(x_step) && whole(y_step) &&
          whole(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p.x.data))) &&
          whole(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(p.y.data)));
    words = loop.inner() * size / kWord, x_step /= kWord, y_step /= kWord;
  }
};

bool whole_words(const BlockCopyProblem& p) { return Rows(p).fit; }

void rows(const BlockCopyProblem& p) {
  const Rows r(p);
  const std::int64_t words = r.words, x_step = r.x_step, y_step = r.y_step;
  const auto* x = static_cast<const uint4*>(p.x.data);
  auto* y = static_cast<uint4*>(p.y.data);
  each(r.rows * words, [=] __device__(std::int64_t i) {
    const std::int64_t row = i / words, at = i - row * words;
    y[row * y_step + at] = x[row * x_step + at];
  });
}

void strided(const BlockCopyProblem& p) { backend_of(current_device()).copy(p.x, p.y); }

}  // namespace

const Candidates<BlockCopyProblem>& block_copy() {
  static const Candidates<BlockCopyProblem> list(
      "cat", {{"rows", "equally spaced rows, 16 bytes to a thread; bound by memory", whole_words, rows},
              {"strided", "the device's copy", always<BlockCopyProblem>, strided}});
  return list;
}

}  // namespace gradus::cuda
