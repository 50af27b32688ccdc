// Dropout on CUDA, the same stream of bits as on the CPU. One read and one write of memory for each element.
//   naive   one thread for each element draws a whole Philox block for its one word
//   blocks  one thread draws a block for four elements: bound by memory

#include "cuda/each.cuh"
#include "cuda/four.cuh"
#include "ops/dropout/dropout_kernels.hpp"

namespace gradus::cuda {
namespace {

template <class T>
void naive(const DropoutProblem<T>& p) {
  each(p.elements, [=] __device__(std::int64_t i) {
    const bool kept = p.philox.word(static_cast<std::uint64_t>(i / p.group)) >= p.threshold;
    p.y[i] = kept ? device_convert<T>(device_convert<Compute<T>>(p.x[i]) * device_convert<Compute<T>>(p.scale))
                  : device_convert<T>(0.0f);
  });
}

template <class T>
bool one_by_one(const DropoutProblem<T>& p) {
  return p.group == 1 && aligned_for_four(p.x) && aligned_for_four(p.y);
}

template <class T>
void blocks(const DropoutProblem<T>& p) {
  each((p.elements + 3) / 4, [=] __device__(std::int64_t i) {
    const Philox::Block block = p.philox.block(static_cast<std::uint64_t>(i));
    const auto scale = device_convert<Compute<T>>(p.scale);
    const int count = p.elements - 4 * i < 4 ? static_cast<int>(p.elements - 4 * i) : 4;
    Four<T> v = load4(p.x + 4 * i, count);
#pragma unroll
    for (int k = 0; k < 4; ++k) v.at[k] = block.word[k] >= p.threshold ? v.at[k] * scale : 0;
    store4(p.y + 4 * i, v, count);
  });
}

}  // namespace

template <class T>
const Candidates<DropoutProblem<T>>& dropout() {
  using Problem = DropoutProblem<T>;
  static const Candidates<Problem> list(
      "dropout", {{"blocks", "a Philox block for four elements; bound by memory", one_by_one<T>, blocks<T>},
                  {"naive", "a Philox block for each element; bound by arithmetic", always<Problem>, naive<T>}});
  return list;
}
template const Candidates<DropoutProblem<float>>& dropout();
template const Candidates<DropoutProblem<double>>& dropout();
template const Candidates<DropoutProblem<bf16>>& dropout();

}  // namespace gradus::cuda
