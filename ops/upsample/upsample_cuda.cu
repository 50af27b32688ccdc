// Interpolation on CUDA: one thread for each element of the result, in its memory order. Bound by memory. Backward
// collects, for each element of the smaller side, from the rows and columns that read it, in their order.

#include "cuda/allocator.hpp"
#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/strided.cuh"
#include "ops/upsample/upsample_kernels.hpp"

namespace gradus::cuda {
namespace {

/// Element i of a side in its memory order, as n, c, row, column and its offset.
struct Walk {
  std::int64_t total = 1;
  int dim[4] = {0, 1, 2, 3};  // outermost in memory first
  std::int64_t size[4] = {}, stride[4] = {};

  Walk(std::int64_t n, std::int64_t c, std::int64_t rows, std::int64_t columns, const Strides& strides) {
    const std::int64_t sizes[4] = {n, c, rows, columns};
    std::sort(dim, dim + 4, [&](int a, int b) { return strides[a] > strides[b]; });
    for (int i = 0; i < 4; ++i) {
      size[i] = sizes[dim[i]];
      stride[i] = strides[dim[i]];
      total *= size[i];
    }
  }
  /// at[d] is the position along logical dim d.
  __device__ std::int64_t locate(std::int64_t i, std::int64_t (&at)[4]) const {
    std::int64_t offset = 0;
    for (int k = 3; k >= 0; --k) {
      at[dim[k]] = i % size[k];
      offset += i % size[k] * stride[k];
      i /= size[k];
    }
    return offset;
  }
};

struct Strides4 {
  std::int64_t at[4];
  explicit Strides4(const Strides& s) : at{s[0], s[1], s[2], s[3]} {}
};

template <class T>
void forward(const InterpolateProblem& p) {
  const Walk walk(p.n, p.c, static_cast<std::int64_t>(p.rows.size()), static_cast<std::int64_t>(p.columns.size()),
                  p.out_strides);
  const Strides4 in_strides(p.in_strides);
  const Tap *rows = constant_table(p.rows), *columns = constant_table(p.columns);
  const T* in = static_cast<const T*>(p.in);
  T* out = static_cast<T*>(p.out);
  each(walk.total, [=] __device__(std::int64_t i) {
    std::int64_t at[4];
    const std::int64_t offset = walk.locate(i, at);
    const Tap r = rows[at[2]], s = columns[at[3]];
    const T* plane = in + at[0] * in_strides.at[0] + at[1] * in_strides.at[1];
    const T* low = plane + r.low * in_strides.at[2];
    const T* high = plane + r.high * in_strides.at[2];
    const std::int64_t left = s.low * in_strides.at[3], right = s.high * in_strides.at[3];
    using C = Compute<T>;
    const C down = device_convert<C>(r.t), across = device_convert<C>(s.t);
    const auto at_place = [](const T* row, std::int64_t column) { return device_convert<C>(row[column]); };
    if (down == C(0) &&
        across == C(0))  // nearest, or exactly on a pixel: what lies beside does not count, even infinite
      out[offset] = low[left];
    else
      out[offset] =
          device_convert<T>((1 - down) * ((1 - across) * at_place(low, left) + across * at_place(low, right)) +
                            down * ((1 - across) * at_place(high, left) + across * at_place(high, right)));
  });
}

/// Which output positions read an input position, and with what weight.
struct Share {
  std::int64_t out;
  double weight;
};
struct Shares {
  std::vector<std::int64_t> begin;  // [in + 1]
  std::vector<Share> all;

  Shares(const std::vector<Tap>& taps, std::int64_t in) : begin(static_cast<std::size_t>(in) + 1, 0) {
    std::vector<std::vector<Share>> of(static_cast<std::size_t>(in));
    for (std::size_t o = 0; o < taps.size(); ++o) {
      const auto at = static_cast<std::int64_t>(o);
      of[static_cast<std::size_t>(taps[o].low)].push_back({at, 1 - taps[o].t});
      if (taps[o].t != 0) of[static_cast<std::size_t>(taps[o].high)].push_back({at, taps[o].t});
    }
    for (std::size_t i = 0; i < of.size(); ++i) {
      all.insert(all.end(), of[i].begin(), of[i].end());
      begin[i + 1] = static_cast<std::int64_t>(all.size());
    }
  }
};

std::int64_t positions(const std::vector<Tap>& taps) {
  std::int64_t largest = 0;
  for (const Tap& t : taps) largest = std::max(largest, t.high);
  return largest + 1;
}

template <class T>
void backward(const InterpolateProblem& p) {
  // Positions behind the last that is read keep their zeros.
  const std::int64_t in_rows = positions(p.rows), in_columns = positions(p.columns);
  const Walk walk(p.n, p.c, in_rows, in_columns, p.in_strides);
  const Strides4 out_strides(p.out_strides);
  const Shares by_row(p.rows, in_rows), by_column(p.columns, in_columns);
  const std::int64_t *row_begin = constant_table(by_row.begin), *column_begin = constant_table(by_column.begin);
  const Share *rows = constant_table(by_row.all), *columns = constant_table(by_column.all);
  T* in = static_cast<T*>(p.in);
  const T* out = static_cast<const T*>(p.out);
  each(walk.total, [=] __device__(std::int64_t i) {
    std::int64_t at[4];
    const std::int64_t offset = walk.locate(i, at);
    const T* plane = out + at[0] * out_strides.at[0] + at[1] * out_strides.at[1];
    using C = Compute<T>;
    C sum = 0;
    for (std::int64_t a = row_begin[at[2]]; a < row_begin[at[2] + 1]; ++a)
      for (std::int64_t b = column_begin[at[3]]; b < column_begin[at[3] + 1]; ++b)
        sum += device_convert<C>(rows[a].weight * columns[b].weight) *
               device_convert<C>(plane[rows[a].out * out_strides.at[2] + columns[b].out * out_strides.at[3]]);
    in[offset] = device_convert<T>(sum);
  });
}

}  // namespace

const Candidates<InterpolateProblem>& interpolate() {
  static const Candidates<InterpolateProblem> list(
      "interpolate", {{"naive", "a thread for each element; bound by memory", always<InterpolateProblem>,
                       [](const InterpolateProblem& p) {
                         dispatch_number("interpolate", p.dtype, [&]<class T>(T) { forward<T>(p); });
                       }}});
  return list;
}

const Candidates<InterpolateProblem>& interpolate_backward() {
  static const Candidates<InterpolateProblem> list(
      "interpolate.backward", {{"naive", "a thread for each element, from all that read it; bound by memory",
                                always<InterpolateProblem>, [](const InterpolateProblem& p) {
                                  dispatch_number("interpolate", p.dtype, [&]<class T>(T) { backward<T>(p); });
                                }}});
  return list;
}

}  // namespace gradus::cuda
