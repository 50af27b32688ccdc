// Constant padding on the CPU.
//   reference  fill y, then copy x into its window
//   rows       one pass: each row of y (its innermost dim in memory: channels) is border, x's row, border; bound by
//              memory

#include <algorithm>
#include <cstring>

#include "core/strided.hpp"
#include "ops/pad/pad_kernels.hpp"

namespace gradus::cpu {
namespace {

void reference(const PadProblem& p) {
  Backend& memory = backend(kCpu);
  memory.fill({p.y, p.dtype, p.y_shape, p.y_strides}, p.value);
  std::int64_t offset = 0;
  for (int d = 0; d < p.y_shape.size(); ++d) offset += p.before[d] * p.y_strides[d];
  auto* window = static_cast<char*>(p.y) + offset * dtype_size(p.dtype);
  memory.copy({const_cast<void*>(p.x), p.dtype, p.x_shape, p.x_strides}, {window, p.dtype, p.x_shape, p.y_strides});
}

/// The dim of y with stride 1, or -1.
int unit_dim(const PadProblem& p) {
  for (int d = 0; d < p.y_shape.size(); ++d)
    if (p.y_strides[d] == 1 && p.y_shape[d] > 1) return d;
  return -1;
}

bool unit_rows(const PadProblem& p) {
  const int d = unit_dim(p);
  return d >= 0 && numel(p.x_shape) > 0 && (p.x_strides[d] == 1 || p.x_shape[d] == 1);
}

void rows(const PadProblem& p) {
  const int inner = unit_dim(p), rank = p.y_shape.size();
  // The other dims, outermost in memory first.
  Dims order;
  for (int d = 0; d < rank; ++d) {
    if (d == inner) continue;
    int at = order.size();
    while (at > 0 && p.y_strides[static_cast<int>(order[at - 1])] < p.y_strides[d]) --at;
    order.insert(at, d);
  }
  const std::int64_t n = p.y_shape[inner], count = numel(p.y_shape) / n;
  const std::int64_t left = p.before[inner], middle = p.x_shape[inner];
  dispatch_float("pad", p.dtype, [&]<class T>(T) {
    const T value = static_cast<T>(p.value);
    parallel_ranges(count, std::max<std::int64_t>(1, kGrain / n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        T* y = static_cast<T*>(p.y) + row * n;  // y is dense and the rows come in its order
        bool inside = true;
        std::int64_t rest = row, offset = 0;
        for (int i = order.size() - 1; i >= 0; --i) {
          const int d = static_cast<int>(order[i]);
          const std::int64_t at = rest % p.y_shape[d] - p.before[d];
          rest /= p.y_shape[d];
          inside = inside && at >= 0 && at < p.x_shape[d];
          offset += at * p.x_strides[d];
        }
        if (!inside) {
          std::fill_n(y, n, value);
          continue;
        }
        std::fill_n(y, left, value);
        std::memcpy(y + left, static_cast<const T*>(p.x) + offset, static_cast<std::size_t>(middle) * sizeof(T));
        std::fill(y + left + middle, y + n, value);
      }
    });
  });
}

}  // namespace

const Candidates<PadProblem>& pad() {
  static const Candidates<PadProblem> candidates("pad",
                                                 {{"rows", "one pass over y's rows; bound by memory", unit_rows, rows},
                                                  {"reference", "fill, then copy", always<PadProblem>, reference}});
  return candidates;
}

}  // namespace gradus::cpu
