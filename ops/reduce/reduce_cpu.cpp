// The sum on the CPU.
//   reference  one walk over x in memory order, adding to f64 totals
//   blocked    whole rows added to rows of totals, or whole runs summed, in parallel; bound by memory

#include <numeric>
#include <vector>

#include "core/strided.hpp"
#include "ops/reduce/reduce_kernels.hpp"

namespace gradus::cpu {
namespace {

template <class T>
void store_totals(const std::vector<double>& totals, void* y) {
  for (std::size_t i = 0; i < totals.size(); ++i) static_cast<T*>(y)[i] = static_cast<T>(totals[i]);
}

void reference(const SumProblem& p) {
  dispatch_float("sum", p.dtype, [&]<class T>(T) {
    std::vector<double> totals(static_cast<std::size_t>(p.outputs));
    const StridedLoop<2> loop(p.shape, {&p.x_strides, &p.y_strides});
    const T* x = static_cast<const T*>(p.x);
    for (std::int64_t row = 0; loop.total > 0 && row < loop.total / loop.inner(); ++row) {
      const auto at = loop.offsets(row);
      for (std::int64_t i = 0; i < loop.inner(); ++i)
        totals[static_cast<std::size_t>(at[1] + i * loop.inner_stride(1))] +=
            static_cast<double>(x[at[0] + i * loop.inner_stride(0)]);
    }
    store_totals<T>(totals, p.y);
  });
}

/// Some of a loop's dims: how many positions they have, and where each lies in x and y.
struct Axes {
  int rank = 0;
  std::int64_t count = 1;
  std::array<std::int64_t, kMaxRank> size{}, x{}, y{};

  void push(std::int64_t n, std::int64_t x_stride, std::int64_t y_stride) {
    size[rank] = n, x[rank] = x_stride, y[rank] = y_stride;
    ++rank;
    count *= n;
  }
  std::int64_t offset(std::int64_t i, const std::array<std::int64_t, kMaxRank>& stride) const {
    if (rank == 1) return i * stride[0];
    std::int64_t at = 0;
    for (int d = rank - 1; d >= 0; --d) {
      at += i % size[d] * stride[d];
      i /= size[d];
    }
    return at;
  }
};

constexpr int kRows = 64;                // added up in f32
constexpr std::int64_t kTask = 32768;    // elements that make a chunk worth handing out
constexpr std::int64_t kColumns = 4096;  // of totals in a task: 32 KiB

template <class T>
void add_rows(const T* const* rows, int count, std::int64_t n, double* totals) {
  if constexpr (std::is_same_v<T, float>)
    reduce_simd().add_rows(rows, count, n, totals);
  else
    reduce_simd().add_rows_f64(rows, count, n, totals);
}
template <class T>
double sum_run(const T* p, std::int64_t n) {
  if constexpr (std::is_same_v<T, float>)
    return reduce_simd().sum_run(p, n);
  else
    return reduce_simd().sum_run_f64(p, n);
}

/// totals[0..n) += rows begin … end-1, which lie at x + reduced.offset(row).
template <class T>
void add_segment(const T* x, const Axes& reduced, std::int64_t begin, std::int64_t end, std::int64_t n, bool packed,
                 double* totals) {
  const T* rows[kRows];
  // Narrow rows that follow each other in memory (16 channels, say) are read as fewer, wider ones, which fill vectors.
  if (packed && n < kRows) {
    std::int64_t fold = 16 / std::gcd<std::int64_t>(n, 16);
    while (fold * n < kRows) fold *= 2;
    const std::int64_t wide = fold * n, wide_rows = (end - begin) / fold;
    if (wide_rows > 0) {
      double wide_totals[kRows * 16] = {};  // n < 64 and fold <= 16 (n odd), or fold * n < 128
      const T* base = x + begin * n;
      for (std::int64_t r = 0; r < wide_rows; r += kRows) {
        const int count = static_cast<int>(std::min<std::int64_t>(kRows, wide_rows - r));
        for (int i = 0; i < count; ++i) rows[i] = base + (r + i) * wide;
        add_rows(rows, count, wide, wide_totals);
      }
      for (std::int64_t j = 0; j < wide; ++j) totals[j % n] += wide_totals[j];
      begin += wide_rows * fold;
    }
  }
  for (std::int64_t r = begin; r < end; r += kRows) {
    const int count = static_cast<int>(std::min<std::int64_t>(kRows, end - r));
    for (int i = 0; i < count; ++i) rows[i] = x + reduced.offset(r + i, reduced.x);
    add_rows(rows, count, n, totals);
  }
}

/// The innermost dim in memory is kept: sums of channels (or over the pixels of each image) of a channels-last tensor.
/// A task is a range of reduced rows, for a block of columns of one outer kept position.
template <class T>
void rows_kept(const SumProblem& p, const Axes& kept, const Axes& reduced, std::int64_t columns) {
  const bool packed = reduced.rank == 1 && reduced.x[0] == columns;
  const std::int64_t blocks = (columns + kColumns - 1) / kColumns, width = std::min(columns, kColumns);
  const std::int64_t outer = kept.count * blocks;
  // Rows are cut into segments only where there are too few outer positions to keep all threads busy.
  const std::int64_t least = std::max<std::int64_t>(kRows, kTask / width);
  const std::int64_t segments = outer >= 64 ? 1 : std::min<std::int64_t>(64, (reduced.count + least - 1) / least);
  const std::int64_t segment_rows = segments > 0 ? (reduced.count + segments - 1) / segments : 0;
  const std::int64_t outer_per_chunk =
      segments > 1 ? 1 : std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, reduced.count * width));
  std::vector<double> partial(static_cast<std::size_t>(segments > 1 ? outer * segments * width : 0));

  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  parallel_ranges(outer * segments, outer_per_chunk, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> own(static_cast<std::size_t>(segments > 1 ? 0 : width));
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t o = task / segments, segment = task % segments, position = o / blocks;
      const std::int64_t column = o % blocks * kColumns, n = std::min(kColumns, columns - column);
      double* totals = segments > 1 ? partial.data() + task * width : own.data();
      std::fill(totals, totals + n, 0.0);
      add_segment(x + kept.offset(position, kept.x) + column, reduced, segment * segment_rows,
                  std::min(reduced.count, (segment + 1) * segment_rows), n, packed && blocks == 1, totals);
      if (segments > 1) continue;
      T* target = y + kept.offset(position, kept.y) + column;
      for (std::int64_t j = 0; j < n; ++j) target[j] = static_cast<T>(totals[j]);
    }
  });
  if (segments == 1) return;
  for (std::int64_t o = 0; o < outer; ++o) {
    const std::int64_t column = o % blocks * kColumns, n = std::min(kColumns, columns - column);
    double* totals = partial.data() + o * segments * width;
    for (std::int64_t s = 1; s < segments; ++s)
      for (std::int64_t j = 0; j < n; ++j) totals[j] += totals[s * width + j];
    T* target = y + kept.offset(o / blocks, kept.y) + column;
    for (std::int64_t j = 0; j < n; ++j) target[j] = static_cast<T>(totals[j]);
  }
}

/// The innermost dim in memory is reduced: each output is a sum of runs.
template <class T>
void runs_reduced(const SumProblem& p, const Axes& kept, const Axes& reduced, std::int64_t length) {
  const std::int64_t pieces = (length + kTask - 1) / kTask;  // of a run
  const std::int64_t units = reduced.count * pieces;         // of an output
  const std::int64_t unit = std::min(length, kTask);
  const std::int64_t segments = kept.count >= 64 ? 1 : std::min<std::int64_t>(64, (units * unit + kTask - 1) / kTask);
  const std::int64_t segment_units = (units + segments - 1) / segments;
  const std::int64_t outputs_per_chunk =
      segments > 1 ? 1 : std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, units * unit));
  std::vector<double> partial(static_cast<std::size_t>(kept.count * segments));

  const T* x = static_cast<const T*>(p.x);
  parallel_ranges(kept.count * segments, outputs_per_chunk, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const T* base = x + kept.offset(task / segments, kept.x);
      const std::int64_t first = task % segments * segment_units, last = std::min(units, first + segment_units);
      double total = 0;
      for (std::int64_t u = first; u < last; ++u) {
        const std::int64_t from = u % pieces * kTask;
        total += sum_run(base + reduced.offset(u / pieces, reduced.x) + from, std::min(kTask, length - from));
      }
      partial[static_cast<std::size_t>(task)] = total;
    }
  });
  T* y = static_cast<T*>(p.y);
  for (std::int64_t o = 0; o < kept.count; ++o) {
    double total = 0;
    for (std::int64_t s = 0; s < segments; ++s) total += partial[static_cast<std::size_t>(o * segments + s)];
    y[kept.offset(o, kept.y)] = static_cast<T>(total);
  }
}

bool unit_inner(const SumProblem& p) {
  const StridedLoop<2> loop(p.shape, {&p.x_strides, &p.y_strides});
  return loop.total > 0 && loop.inner_stride(0) == 1 && loop.inner_stride(1) <= 1;
}

void blocked(const SumProblem& p) {
  const StridedLoop<2> loop(p.shape, {&p.x_strides, &p.y_strides});
  Axes kept, reduced;
  for (int d = 0; d + 1 < loop.rank; ++d)
    (loop.stride[1][d] != 0 ? kept : reduced).push(loop.size[d], loop.stride[0][d], loop.stride[1][d]);
  dispatch_float("sum", p.dtype, [&]<class T>(T) {
    if (loop.inner_stride(1) != 0)
      rows_kept<T>(p, kept, reduced, loop.inner());
    else
      runs_reduced<T>(p, kept, reduced, loop.inner());
  });
}

template <class T, bool kLargest>
void extremes(const ExtremeProblem& p) {
  const std::int64_t outputs = numel(p.kept), count = numel(p.reduced);
  // Rows of the last reduced dim, so that the inner loop has one stride.
  const int last = p.reduced.size() - 1;
  const std::int64_t run = last >= 0 ? p.reduced[last] : 1, step = last >= 0 ? p.reduced_strides[last] : 1;
  Axes kept, rows;
  for (int d = 0; d < p.kept.size(); ++d) kept.push(p.kept[d], p.kept_strides[d], 0);
  for (int d = 0; d < last; ++d) rows.push(p.reduced[d], p.reduced_strides[d], 0);
  parallel_ranges(outputs, std::max<std::int64_t>(1, kTask / count), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      const T* base = static_cast<const T*>(p.x) + kept.offset(o, kept.x);
      T best = *base;
      std::int64_t at = 0;
      for (std::int64_t r = 0; r < rows.count; ++r) {
        const T* row = base + rows.offset(r, rows.x);
        for (std::int64_t i = 0; i < run; ++i) {
          const T v = row[i * step];
          // The first NaN beats everything and stays.
          if ((kLargest ? v > best : v < best) || (v != v && best == best)) best = v, at = r * run + i;
        }
      }
      if (p.values) static_cast<T*>(p.values)[o] = best;
      if (p.positions) p.positions[o] = at;
    }
  });
}

}  // namespace

const Candidates<SumProblem>& sum() {
  static const Candidates<SumProblem> candidates(
      "sum", {{"blocked", "rows or runs in vector registers, parallel segments; bound by memory", unit_inner, blocked},
              {"reference", "one walk over x, totals in f64", always<SumProblem>, reference}});
  return candidates;
}

void extreme(const ExtremeProblem& p) {
  dispatch_float("max", p.dtype, [&]<class T>(T) {
    if (p.largest)
      extremes<T, true>(p);
    else
      extremes<T, false>(p);
  });
}

}  // namespace gradus::cpu
