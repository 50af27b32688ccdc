// Constant padding on CUDA: one thread for each element of y, in y's memory order. Bound by memory.

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "ops/pad/pad_kernels.hpp"

namespace gradus::cuda {
namespace {

/// y's dims, outermost in memory first.
struct Geometry {
  int rank = 0;
  std::int64_t size[kMaxRank] = {}, before[kMaxRank] = {}, x_size[kMaxRank] = {}, x_stride[kMaxRank] = {};

  explicit Geometry(const PadProblem& p) : rank(p.y_shape.size()) {
    Dims order;
    for (int d = 0; d < rank; ++d) {
      int at = order.size();
      while (at > 0 && p.y_strides[static_cast<int>(order[at - 1])] < p.y_strides[d]) --at;
      order.insert(at, d);
    }
    for (int i = 0; i < rank; ++i) {
      const int d = static_cast<int>(order[i]);
      size[i] = p.y_shape[d], before[i] = p.before[d], x_size[i] = p.x_shape[d], x_stride[i] = p.x_strides[d];
    }
  }
};

template <class T>
void naive(const PadProblem& p) {
  const Geometry g(p);
  const T* x = static_cast<const T*>(p.x);
  T* y = static_cast<T*>(p.y);
  const T value = convert<T>(p.value);
  each(numel(p.y_shape), [=] __device__(std::int64_t i) {
    std::int64_t rest = i, offset = 0;
    bool inside = true;
    for (int d = g.rank - 1; d >= 0; --d) {
      const std::int64_t at = rest % g.size[d] - g.before[d];
      rest /= g.size[d];
      inside = inside && at >= 0 && at < g.x_size[d];
      offset += at * g.x_stride[d];
    }
    y[i] = inside ? x[offset] : value;
  });
}

}  // namespace

const Candidates<PadProblem>& pad() {
  static const Candidates<PadProblem> list(
      "pad", {{"naive", "a thread for each element of y; bound by memory", always<PadProblem>,
               [](const PadProblem& p) { dispatch_number("pad", p.dtype, [&]<class T>(T) { naive<T>(p); }); }}});
  return list;
}

}  // namespace gradus::cuda
