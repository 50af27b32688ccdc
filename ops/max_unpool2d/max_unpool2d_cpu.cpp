// max_unpool2d on the CPU. Bound by memory: each operand once.
//   reference  one element after the other
//   images     images in parallel, rows of channels; within an image windows go in order, as repeated indices need

#include "core/parallel.hpp"
#include "ops/max_unpool2d/max_unpool2d_kernels.hpp"

namespace gradus::cpu {
namespace {

template <class T>
void reference(const UnpoolProblem<T>& p) {
  for (std::int64_t i = 0; i < p.images * p.windows * p.channels; ++i) {
    const std::int64_t n = i / (p.windows * p.channels), c = i % p.channels;
    const std::int64_t at = (n * p.plane + p.index[i]) * p.channels + c;
    if (p.move == UnpoolMove::fetch)
      p.y[i] = p.x[at];
    else
      p.y[at] = p.move == UnpoolMove::put ? p.x[i] : p.y[at] + p.x[i];
  }
}

template <class T>
void images(const UnpoolProblem<T>& p) {
  const std::int64_t few = p.windows * p.channels, many = p.plane * p.channels, channels = p.channels;
  /// fn(element of the small side, element of the large side)
  const auto each = [&](std::int64_t n, auto* small, auto* large, auto fn) {
    const std::int64_t* at = p.index + n * few;
    for (std::int64_t w = 0; w < few; w += channels)
      for (std::int64_t c = 0; c < channels; ++c)
        fn(small[n * few + w + c], large[n * many + at[w + c] * channels + c]);
  };
  parallel_for(p.images, [&](std::int64_t n) {
    switch (p.move) {
      case UnpoolMove::put: return each(n, p.x, p.y, [](const T& small, T& large) { large = small; });
      case UnpoolMove::fetch: return each(n, p.y, p.x, [](T& small, const T& large) { small = large; });
      case UnpoolMove::collect: return each(n, p.x, p.y, [](const T& small, T& large) { large += small; });
    }
  });
}

}  // namespace

template <class T>
const Candidates<UnpoolProblem<T>>& max_unpool2d() {
  static const Candidates<UnpoolProblem<T>> candidates(
      "max_unpool2d",
      {{"images", "images in parallel, rows of channels; bound by memory", always<UnpoolProblem<T>>, images<T>},
       {"reference", "one element after the other", always<UnpoolProblem<T>>, reference<T>}});
  return candidates;
}
template const Candidates<UnpoolProblem<float>>& max_unpool2d();
template const Candidates<UnpoolProblem<double>>& max_unpool2d();

}  // namespace gradus::cpu
