// CPU kernels of dropout.

#include <algorithm>
#include <type_traits>

#include "core/strided.hpp"
#include "ops/dropout/dropout_kernels.hpp"

namespace gradus {
namespace {

template <class T>
void reference(const DropoutProblem<T>& p) {
  for (std::int64_t i = 0; i < p.elements; ++i) {
    const bool kept = p.philox.word(static_cast<std::uint64_t>(i / p.group)) >= p.threshold;
    p.y[i] = static_cast<T>(kept ? static_cast<double>(p.x[i]) * p.scale : 0.0);
  }
}

template <class T>
bool one_by_one(const DropoutProblem<T>& p) {
  return p.group == 1;
}

template <class T>
void blocks(const DropoutProblem<T>& p) {
  parallel_ranges(p.elements, kGrain, [&](std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_same_v<T, float>)
      dropout_simd().f32(p, begin, end);
    else
      dropout_simd().f64(p, begin, end);
  });
}

template <class T>
void groups(const DropoutProblem<T>& p) {
  const T scale = static_cast<T>(p.scale);
  parallel_ranges(p.elements, kGrain, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t group = begin / p.group, stop = std::min(end, (group + 1) * p.group);
      if (p.philox.word(static_cast<std::uint64_t>(group)) >= p.threshold)
        std::transform(p.x + begin, p.x + stop, p.y + begin, [=](T v) { return v * scale; });
      else
        std::fill(p.y + begin, p.y + stop, T(0));
      begin = stop;
    }
  });
}

}  // namespace

template <class T>
const Candidates<DropoutProblem<T>>& dropout_candidates() {
  using Problem = DropoutProblem<T>;
  static const Candidates<Problem> all(
      "dropout", {{"blocks", "a vector of Philox blocks side by side; bound by drawing", one_by_one<T>, blocks<T>},
                  {"groups", "one word per run of elements; bound by memory", always<Problem>, groups<T>},
                  {"reference", "one element at a time", always<Problem>, reference<T>}});
  return all;
}

template const Candidates<DropoutProblem<float>>& dropout_candidates();
template const Candidates<DropoutProblem<double>>& dropout_candidates();

}  // namespace gradus
