#pragma once
// Kernels of max_unpool2d. The small side is [images, windows, channels] in memory, the large one [images, plane,
// channels]; index lies like the small side and says where in the plane.

#include <cstdint>

#include "ops/candidates.hpp"

namespace gradus {

enum class UnpoolMove {
  put,      // y[index] = x, zero elsewhere
  fetch,    // y = x[index]: the gradient of put
  collect,  // y[index] += x: the gradient of fetch
};

/// For put and collect y is zero beforehand. Where indices of an image repeat, put keeps the last in order, collect
/// adds in order.
template <class T>
struct UnpoolProblem {
  UnpoolMove move;
  std::int64_t images, windows, plane, channels;
  const T* x;
  const std::int64_t* index;
  T* y;
};

namespace cpu {
template <class T>
const Candidates<UnpoolProblem<T>>& max_unpool2d();
}
namespace cuda {
template <class T>
void max_unpool2d(const UnpoolProblem<T>& p);
}

}  // namespace gradus
