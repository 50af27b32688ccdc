// Reductions on CUDA. Bound by memory: x is read once. Sums of f32 and bf16 are runs in f32 that are added up in f64.
//
// sum
//   naive    one thread for each output walks over all its terms, in f64: the definition. Neighbouring threads read far
//            apart, and few outputs leave most of the GPU idle
//   blocks   a block for each output, its threads side by side over the terms: coalesced where the reduced dims are the
//            inner ones in memory
//   columns  the inner dim is kept (a channel's sum over N, H and W): warps read rows of 32 neighbours, blocks take
//            segments of the terms and a second pass adds their sums in order
// max and min
//   naive    one thread for each output
//   blocks   a block for each output

#include "cuda/allocator.hpp"
#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/reduce.cuh"
#include "cuda/strided.cuh"
#include "ops/reduce/reduce_kernels.hpp"

namespace gradus::cuda {
namespace {

/// The dims that are kept (operands y, x) and those that are reduced (x), in x's memory order.
struct SumAxes {
  StridedIndex<2> kept;
  StridedIndex<1> reduced;

  explicit SumAxes(const SumProblem& p) {
    const StridedLoop<2> loop(p.shape, {&p.x_strides, &p.y_strides});
    for (int d = 0; d < loop.rank; ++d) {
      const auto at = static_cast<std::size_t>(d);
      if (loop.size[at] == 1) continue;  // a scalar
      if (loop.stride[1][at] != 0) {
        kept.size[kept.rank] = loop.size[at];
        kept.stride[0][kept.rank] = loop.stride[1][at];
        kept.stride[1][kept.rank++] = loop.stride[0][at];
        kept.total *= loop.size[at];
      } else {
        reduced.size[reduced.rank] = loop.size[at];
        reduced.stride[0][reduced.rank++] = loop.stride[0][at];
        reduced.total *= loop.size[at];
      }
    }
    if (loop.total == 0) reduced.total = 0, kept.total = p.outputs;
  }
  bool inner_kept() const { return kept.rank > 0 && kept.stride[1][kept.rank - 1] == 1; }
};

// ---- naive

template <class T>
void sum_naive(const SumProblem& p) {
  const SumAxes axes(p);
  const StridedIndex<2> kept = axes.kept;
  const StridedIndex<1> reduced = axes.reduced;
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  each(p.outputs, [=] __device__(std::int64_t o) {
    const Offsets<2> at = kept(o);
    double total = 0;
    for (std::int64_t i = 0; i < reduced.total; ++i) total += device_convert<double>(x[at.at[1] + reduced(i).at[0]]);
    y[at.at[0]] = device_convert<T>(total);
  });
}

// ---- blocks

constexpr int kSumThreads = 256;
constexpr int kRun = 32;  // terms added in Compute<T> before they join the f64 total

template <class T>
__global__ void __launch_bounds__(kSumThreads)
    sum_blocks_kernel(StridedIndex<2> kept, StridedIndex<1> reduced, const T* x, T* y) {
  __shared__ double scratch[kSumThreads / kWarp];
  for (std::int64_t o = blockIdx.x; o < kept.total; o += gridDim.x) {
    const Offsets<2> at = kept(o);
    double total = 0;
    Compute<T> run = 0;
    int count = 0;
    for (std::int64_t i = threadIdx.x; i < reduced.total; i += kSumThreads) {
      run += device_convert<Compute<T>>(x[at.at[1] + reduced(i).at[0]]);
      if (++count == kRun) {
        total += static_cast<double>(run);
        run = 0;
        count = 0;
      }
    }
    total = block_sum(total + static_cast<double>(run), scratch);
    if (threadIdx.x == 0) y[at.at[0]] = device_convert<T>(total);
  }
}

template <class T>
void sum_blocks(const SumProblem& p) {
  const SumAxes axes(p);
  launch(sum_blocks_kernel<T>, blocks_for(axes.kept.total, 1), dim3(kSumThreads), 0, stream(), axes.kept, axes.reduced,
         static_cast<const T*>(p.x), static_cast<T*>(p.y));
}

// ---- columns

constexpr int kColumns = kWarp;  // outputs of a block: one row of a warp
constexpr int kRows = 8;         // warps: terms side by side

/// Segment s of the terms of the outputs o … o + 31, which are neighbours; partial[s][o].
template <class T>
__global__ void __launch_bounds__(kColumns* kRows)
    sum_columns_kernel(StridedIndex<2> kept, StridedIndex<1> reduced, std::int64_t segment, const T* x,
                       double* partial) {
  __shared__ double sums[kRows][kColumns];
  const int column = static_cast<int>(threadIdx.x), row = static_cast<int>(threadIdx.y);
  const std::int64_t o = static_cast<std::int64_t>(blockIdx.x) * kColumns + column;
  const std::int64_t begin = blockIdx.y * segment, end = min(begin + segment, reduced.total);
  double total = 0;
  if (o < kept.total) {
    const T* at = x + kept(o).at[1];
    Compute<T> run = 0;
    int count = 0;
    for (std::int64_t i = begin + row; i < end; i += kRows) {
      run += device_convert<Compute<T>>(at[reduced(i).at[0]]);
      if (++count == kRun) {
        total += static_cast<double>(run);
        run = 0;
        count = 0;
      }
    }
    total += static_cast<double>(run);
  }
  sums[row][column] = total;
  __syncthreads();
  if (row == 0 && o < kept.total) {
    for (int r = 1; r < kRows; ++r) total += sums[r][column];
    partial[blockIdx.y * kept.total + o] = total;
  }
}

template <class T>
void add_segments(const StridedIndex<2>& kept, std::int64_t segments, const double* partial, T* y) {
  const StridedIndex<2> index = kept;
  each(index.total, [=] __device__(std::int64_t o) {
    double total = 0;
    for (std::int64_t s = 0; s < segments; ++s) total += partial[s * index.total + o];
    y[index(o).at[0]] = device_convert<T>(total);
  });
}

template <class T>
void sum_columns(const SumProblem& p) {
  const SumAxes axes(p);
  // Segments of at least 64 terms a warp, as many as keep the GPU busy; at most 1024.
  const std::int64_t tiles = (axes.kept.total + kColumns - 1) / kColumns;
  const std::int64_t useful = (axes.reduced.total + 64 * kRows - 1) / (64 * kRows);
  const std::int64_t wanted = std::clamp<std::int64_t>(2048 / tiles, 1, 1024);
  const std::int64_t segments = std::clamp<std::int64_t>(useful, 1, wanted);
  const std::int64_t segment = (axes.reduced.total + segments - 1) / segments;
  const DeviceWorkspace<double> partial(segments * axes.kept.total);
  launch(sum_columns_kernel<T>, dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(segments)),
         dim3(kColumns, kRows), 0, stream(), axes.kept, axes.reduced, segment, static_cast<const T*>(p.x),
         partial.data());
  add_segments<T>(axes.kept, segments, partial.data(), static_cast<T*>(p.y));
}

bool inner_is_kept(const SumProblem& p) {
  const SumAxes axes(p);
  return axes.inner_kept() && axes.reduced.total > 1;
}
/// A block of 256 pays where there is work for it.
bool long_sums(const SumProblem& p) { return p.outputs > 0 && SumAxes(p).reduced.total >= 64; }

// ---- max and min

struct ExtremeAxes {
  StridedIndex<1> kept, reduced;  // in logical order: positions count in it
  explicit ExtremeAxes(const ExtremeProblem& p)
      : kept(p.kept, {&p.kept_strides}), reduced(p.reduced, {&p.reduced_strides}) {}
};

/// T is a type that is compared in: of bf16, float.
template <class T>
struct Best {
  T value;
  std::int64_t at;
};
/// The first NaN beats everything; of equals the first in order wins.
template <class T, bool kLargest>
struct Better {
  __device__ static bool first_wins(const Best<T>& a, const Best<T>& b) {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan;
    if (a_nan || a.value == b.value) return a.at < b.at;
    return kLargest ? a.value > b.value : a.value < b.value;
  }
  __device__ Best<T> operator()(Best<T> a, Best<T> b) const { return first_wins(a, b) ? a : b; }
};

template <class T, bool kLargest>
void extreme_naive(const ExtremeProblem& p) {
  using C = Compute<T>;
  const ExtremeAxes axes(p);
  const StridedIndex<1> kept = axes.kept, reduced = axes.reduced;
  const T* x = static_cast<const T*>(p.x);
  T* values = static_cast<T*>(p.values);
  std::int64_t* positions = p.positions;
  each(kept.total, [=] __device__(std::int64_t o) {
    const T* at = x + kept(o).at[0];
    Best<C> best{device_convert<C>(at[0]), 0};
    for (std::int64_t i = 1; i < reduced.total; ++i)
      best = Better<C, kLargest>{}(best, Best<C>{device_convert<C>(at[reduced(i).at[0]]), i});
    if (values) values[o] = device_convert<T>(best.value);
    if (positions) positions[o] = best.at;
  });
}

template <class T, bool kLargest>
__global__ void __launch_bounds__(kSumThreads) extreme_blocks_kernel(StridedIndex<1> kept, StridedIndex<1> reduced,
                                                                     const T* x, T* values, std::int64_t* positions) {
  using C = Compute<T>;
  __shared__ C best_values[kSumThreads];
  __shared__ std::int64_t best_at[kSumThreads];
  const Better<C, kLargest> better;
  for (std::int64_t o = blockIdx.x; o < kept.total; o += gridDim.x) {
    const T* at = x + kept(o).at[0];
    Best<C> best{device_convert<C>(at[0]), 0};
    for (std::int64_t i = threadIdx.x; i < reduced.total; i += kSumThreads)
      best = better(best, Best<C>{device_convert<C>(at[reduced(i).at[0]]), i});
    best_values[threadIdx.x] = best.value;
    best_at[threadIdx.x] = best.at;
    __syncthreads();
    for (unsigned width = kSumThreads / 2; width > 0; width /= 2) {
      if (threadIdx.x < width) {
        best = better(best, Best<C>{best_values[threadIdx.x + width], best_at[threadIdx.x + width]});
        best_values[threadIdx.x] = best.value;
        best_at[threadIdx.x] = best.at;
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      if (values) values[o] = device_convert<T>(best.value);
      if (positions) positions[o] = best.at;
    }
    __syncthreads();
  }
}

template <class T, bool kLargest>
void extreme_blocks(const ExtremeProblem& p) {
  const ExtremeAxes axes(p);
  launch(extreme_blocks_kernel<T, kLargest>, blocks_for(axes.kept.total, 1), dim3(kSumThreads), 0, stream(), axes.kept,
         axes.reduced, static_cast<const T*>(p.x), static_cast<T*>(p.values), p.positions);
}

bool long_rows(const ExtremeProblem& p) { return numel(p.kept) > 0 && numel(p.reduced) >= 256; }

}  // namespace

const Candidates<SumProblem>& sum() {
  static const Candidates<SumProblem> list(
      "sum", {{"columns", "the inner dim is kept: rows of 32 neighbours, segments added in order; bound by memory",
               inner_is_kept,
               [](const SumProblem& p) { dispatch_number("sum", p.dtype, [&]<class T>(T) { sum_columns<T>(p); }); }},
              {"blocks", "a block for each output; bound by memory", long_sums,
               [](const SumProblem& p) { dispatch_number("sum", p.dtype, [&]<class T>(T) { sum_blocks<T>(p); }); }},
              {"naive", "a thread for each output, in f64", always<SumProblem>,
               [](const SumProblem& p) { dispatch_number("sum", p.dtype, [&]<class T>(T) { sum_naive<T>(p); }); }}});
  return list;
}

const Candidates<ExtremeProblem>& extreme() {
  static const Candidates<ExtremeProblem> list(
      "extreme", {{"blocks", "a block for each output; bound by memory", long_rows,
                   [](const ExtremeProblem& p) {
                     dispatch_number("max", p.dtype, [&]<class T>(T) {
                       p.largest ? extreme_blocks<T, true>(p) : extreme_blocks<T, false>(p);
                     });
                   }},
                  {"naive", "a thread for each output", always<ExtremeProblem>, [](const ExtremeProblem& p) {
                     dispatch_number("max", p.dtype, [&]<class T>(T) {
                       p.largest ? extreme_naive<T, true>(p) : extreme_naive<T, false>(p);
                     });
                   }}});
  return list;
}

}  // namespace gradus::cuda
