#pragma once
// Walking several strided tensors of one shape together, in the memory order of the first.

#include <array>
#include <cstdint>

#include "core/parallel.hpp"
#include "core/shape.hpp"

namespace gradus {

/// Sizes and per-operand strides after dropping 1-sized dimensions, sorting the rest so that operand 0's strides fall,
/// and merging neighbours that are contiguous in every operand. A dense tensor of any format becomes one dimension.
template <int N>
struct StridedLoop {
  std::int64_t total = 1;  // elements
  int rank = 0;            // >= 1 after planning; the last dimension is the inner one
  std::array<std::int64_t, kMaxRank> size{};
  std::array<std::array<std::int64_t, kMaxRank>, N> stride{};  // [operand][dim]

  std::int64_t inner() const { return size[rank - 1]; }
  std::int64_t inner_stride(int operand) const { return stride[operand][rank - 1]; }

  StridedLoop(const Shape& shape, const std::array<const Strides*, N>& strides) {
    std::array<int, kMaxRank> order{};
    int n = 0;
    for (int d = 0; d < shape.size(); ++d) {
      total *= shape[d];
      if (shape[d] != 1) order[n++] = d;
    }
    // Insertion sort by operand 0's stride, then the next operand's where it is a broadcast (0): stable and tiny.
    const auto before = [&](int a, int b) {
      for (const Strides* s : strides)
        if ((*s)[a] != (*s)[b] && (*s)[a] != 0 && (*s)[b] != 0) return (*s)[a] > (*s)[b];
      return false;
    };
    for (int i = 1; i < n; ++i)
      for (int j = i; j > 0 && before(order[j], order[j - 1]); --j) std::swap(order[j], order[j - 1]);
    for (int i = 0; i < n; ++i) {
      const int d = order[i];
      bool merge = rank > 0;
      for (int k = 0; k < N && merge; ++k) merge = stride[k][rank - 1] == (*strides[k])[d] * shape[d];
      if (!merge) ++rank;
      size[rank - 1] = merge ? size[rank - 1] * shape[d] : shape[d];
      for (int k = 0; k < N; ++k) stride[k][rank - 1] = (*strides[k])[d];
    }
    if (rank == 0) {  // a scalar, or all sizes 1
      rank = 1;
      size[0] = 1;
    }
  }

  /// Element offsets of operand k at the flat position `row` of all dimensions but the inner one.
  std::array<std::int64_t, N> offsets(std::int64_t row) const {
    std::array<std::int64_t, N> at{};
    for (int d = rank - 2; d >= 0; --d) {
      const std::int64_t i = row % size[d];
      row /= size[d];
      for (int k = 0; k < N; ++k) at[k] += i * stride[k][d];
    }
    return at;
  }

  /// Calls fn(offsets, n) for runs of n elements along the inner dimension until everything is covered, in parallel;
  /// operand k's run starts at offsets[k] and steps by inner_stride(k). `grain` is about how many elements make a
  /// chunk.
  template <class Fn>
  void run(std::int64_t grain, Fn&& fn) const {
    if (total == 0) return;
    const std::int64_t rows = total / inner();
    if (inner() >= 2 * grain) {  // long rows: cut each into pieces
      const std::int64_t pieces = (inner() + grain - 1) / grain;
      parallel_for(rows * pieces, [&](std::int64_t chunk) {
        auto at = offsets(chunk / pieces);
        const std::int64_t begin = chunk % pieces * grain;
        for (int k = 0; k < N; ++k) at[k] += begin * inner_stride(k);
        fn(at, std::min(grain, inner() - begin));
      });
    } else {  // short rows: several to a chunk
      parallel_ranges(rows, std::max<std::int64_t>(1, grain / inner()), [&](std::int64_t begin, std::int64_t end) {
        auto at = offsets(begin);
        std::array<std::int64_t, kMaxRank> index{};  // of the outer dimensions, counted up from row to row
        for (std::int64_t rest = begin, d = rank - 2; d >= 0; rest /= size[d], --d) index[d] = rest % size[d];
        for (std::int64_t row = begin; row < end; ++row) {
          fn(at, inner());
          for (int d = rank - 2; d >= 0; --d) {
            const bool carry = ++index[d] == size[d];
            if (carry) index[d] = 0;
            for (int k = 0; k < N; ++k) at[k] += carry ? (1 - size[d]) * stride[k][d] : stride[k][d];
            if (!carry) break;
          }
        }
      });
    }
  }
};

/// Elements per chunk of a cheap loop: a few microseconds of work, far above the cost of handing it out.
inline constexpr std::int64_t kGrain = 16384;

}  // namespace gradus
