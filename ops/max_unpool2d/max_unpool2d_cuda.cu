// max_unpool2d on CUDA. Bound by memory. Where indices of an image repeat, order matters: put and collect let one
// thread walk over the windows of a channel, fetch has a thread for each element.

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "ops/max_unpool2d/max_unpool2d_kernels.hpp"

namespace gradus::cuda {
namespace {

template <class T>
void fetch(const UnpoolProblem<T>& p) {
  each(p.images * p.windows * p.channels, [=] __device__(std::int64_t i) {
    const std::int64_t n = i / (p.windows * p.channels);
    p.y[i] = p.x[(n * p.plane + p.index[i]) * p.channels + i % p.channels];
  });
}

template <class T>
void scatter(const UnpoolProblem<T>& p) {
  each(p.images * p.channels, [=] __device__(std::int64_t i) {
    const std::int64_t n = i / p.channels, c = i % p.channels;
    for (std::int64_t w = 0; w < p.windows; ++w) {
      const std::int64_t at = (n * p.windows + w) * p.channels + c;
      T& place = p.y[(n * p.plane + p.index[at]) * p.channels + c];
      using C = Compute<T>;
      place = p.move == UnpoolMove::put ? p.x[at]
                                        : device_convert<T>(device_convert<C>(place) + device_convert<C>(p.x[at]));
    }
  });
}

}  // namespace

template <class T>
void max_unpool2d(const UnpoolProblem<T>& p) {
  p.move == UnpoolMove::fetch ? fetch(p) : scatter(p);
}
template void max_unpool2d(const UnpoolProblem<float>&);
template void max_unpool2d(const UnpoolProblem<double>&);
template void max_unpool2d(const UnpoolProblem<bf16>&);

}  // namespace gradus::cuda
