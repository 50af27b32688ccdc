// gather and scatter_add on the CPU.
//   reference  one element after the other
//   lanes      lanes in parallel; bound by memory (random access along the indexed dim)

#include "core/strided.hpp"
#include "ops/index/index_kernels.hpp"

namespace gradus::cpu {
namespace {

/// fn(large element, small element) for lane after lane. One lane's elements come in the order of i.
template <class T, class Fn>
void each(const IndexProblem& p, const StridedLoop<3>& loop, const std::array<std::int64_t, 3>& at, std::int64_t n,
          Fn fn) {
  const std::int64_t sl = loop.inner_stride(0), ss = loop.inner_stride(1), si = loop.inner_stride(2);
  T* large = static_cast<T*>(p.large) + at[0];
  T* small = static_cast<T*>(p.small) + at[1];
  const std::int64_t* index = p.index + at[2];
  for (std::int64_t i = 0; i < p.count; ++i) {
    T* row = small + i * p.small_step;
    const std::int64_t* where = index + i * p.index_step;
    if (si == 0) {  // index_select: whole runs
      T* from = large + *where * p.large_step;
      for (std::int64_t j = 0; j < n; ++j) fn(from[j * sl], row[j * ss]);
    } else {
      for (std::int64_t j = 0; j < n; ++j) fn(large[j * sl + where[j * si] * p.large_step], row[j * ss]);
    }
  }
}

StridedLoop<3> plan(const IndexProblem& p) { return {p.lanes, {&p.large_strides, &p.small_strides, &p.index_strides}}; }

template <class Fn>
void serial(const IndexProblem& p, Fn fn) {
  const StridedLoop<3> loop = plan(p);
  if (loop.total == 0) return;
  dispatch_float("gather", p.dtype, [&]<class T>(T) {
    for (std::int64_t row = 0; row < loop.total / loop.inner(); ++row)
      each<T>(p, loop, loop.offsets(row), loop.inner(), fn);
  });
}

template <class Fn>
void parallel(const IndexProblem& p, Fn fn) {
  const StridedLoop<3> loop = plan(p);
  dispatch_float("gather", p.dtype, [&]<class T>(T) {
    // At least kRun lanes together: whole cache lines where the lanes adjoin.
    constexpr std::int64_t kRun = 128;
    loop.run(std::max<std::int64_t>(kRun, kGrain / std::max<std::int64_t>(1, p.count)),
             [&](const auto& at, std::int64_t n) { each<T>(p, loop, at, n, fn); });
  });
}

constexpr auto kRead = [](auto& large, auto& small) { small = large; };
constexpr auto kAdd = [](auto& large, auto& small) { large += small; };

}  // namespace

const Candidates<IndexProblem>& gather() {
  static const Candidates<IndexProblem> candidates(
      "gather", {{"lanes", "lanes in parallel; bound by memory", always<IndexProblem>,
                  [](const IndexProblem& p) { parallel(p, kRead); }},
                 {"reference", "one lane after the other", always<IndexProblem>,
                  [](const IndexProblem& p) { serial(p, kRead); }}});
  return candidates;
}

const Candidates<IndexProblem>& scatter_add() {
  static const Candidates<IndexProblem> candidates(
      "scatter_add", {{"lanes", "lanes in parallel, each in the order of its indices; bound by memory",
                       always<IndexProblem>, [](const IndexProblem& p) { parallel(p, kAdd); }},
                      {"reference", "one lane after the other", always<IndexProblem>,
                       [](const IndexProblem& p) { serial(p, kAdd); }}});
  return candidates;
}

}  // namespace gradus::cpu
