#pragma once
// Element-by-element work over many tensors at once, in one parallel pass: chunks of large tensors and handfuls of
// small ones make tasks of about the same size. What is computed for an element never depends on the cut.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/tensor.hpp"

namespace gradus::optim {

inline constexpr std::int64_t kTaskElements = 16 * 1024;  // 64 KiB of f32 per operand: fits L2 with its companions

/// Elements [begin, end) of tensor number `tensor`.
struct Span {
  std::size_t tensor;
  std::int64_t begin, end;
};

/// Calls fn(span) for spans that cover all elements of tensors with those sizes.
template <class Fn>
void parallel_spans(const std::vector<std::int64_t>& sizes, Fn&& fn) {
  std::vector<Span> spans;
  std::vector<std::size_t> task_ends;  // into spans
  std::int64_t filled = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (std::int64_t begin = 0; begin < sizes[i];) {
      const std::int64_t end = std::min(sizes[i], begin + kTaskElements - filled);
      spans.push_back({i, begin, end});
      filled += end - begin;
      begin = end;
      if (filled == kTaskElements) {
        task_ends.push_back(spans.size());
        filled = 0;
      }
    }
  }
  if (filled > 0) task_ends.push_back(spans.size());
  parallel_for(static_cast<std::int64_t>(task_ends.size()), [&](std::int64_t task) {
    const auto t = static_cast<std::size_t>(task);
    for (std::size_t i = t == 0 ? 0 : task_ends[t - 1]; i < task_ends[t]; ++i) fn(spans[i]);
  });
}

/// The address of element `i` of a dense tensor's memory.
inline void* element(const Tensor& x, std::int64_t i) {
  return x.defined() ? static_cast<char*>(x.data_ptr()) + i * dtype_size(x.dtype()) : nullptr;
}

}  // namespace gradus::optim
