// gather and scatter_add on CUDA. Bound by memory (random access along the indexed dim).
//   gather       one thread for each element
//   scatter_add  one thread for each lane adds its elements in order: indices may repeat, and atomics would leave the
//   order
//                of the sum, and so its last bits, to chance

#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/strided.cuh"
#include "ops/index/index_kernels.hpp"

namespace gradus::cuda {
namespace {

StridedIndex<3> lanes(const IndexProblem& p) {
  return StridedIndex<3>(StridedLoop<3>(p.lanes, {&p.large_strides, &p.small_strides, &p.index_strides}));
}

template <class T>
void gather_elements(const IndexProblem& p) {
  const StridedIndex<3> lane = lanes(p);
  const T* large = static_cast<const T*>(p.large);
  T* small = static_cast<T*>(p.small);
  const std::int64_t* index = p.index;
  const std::int64_t large_step = p.large_step, small_step = p.small_step, index_step = p.index_step,
                     total = lane.total;
  each(total * p.count, [=] __device__(std::int64_t k) {
    const std::int64_t i = k / total;
    const Offsets<3> o = lane(k % total);
    small[o.at[1] + i * small_step] = large[o.at[0] + index[o.at[2] + i * index_step] * large_step];
  });
}

template <class T>
void scatter_lanes(const IndexProblem& p) {
  const StridedIndex<3> lane = lanes(p);
  T* large = static_cast<T*>(p.large);
  const T* small = static_cast<const T*>(p.small);
  const std::int64_t* index = p.index;
  const std::int64_t large_step = p.large_step, small_step = p.small_step, index_step = p.index_step, count = p.count;
  each(lane.total, [=] __device__(std::int64_t k) {
    const Offsets<3> o = lane(k);
    for (std::int64_t i = 0; i < count; ++i) {
      T& place = large[o.at[0] + index[o.at[2] + i * index_step] * large_step];
      place = device_convert<T>(device_convert<Compute<T>>(place) +
                                device_convert<Compute<T>>(small[o.at[1] + i * small_step]));
    }
  });
}

}  // namespace

const Candidates<IndexProblem>& gather() {
  static const Candidates<IndexProblem> list(
      "gather",
      {{"naive", "a thread for each element; bound by memory", always<IndexProblem>, [](const IndexProblem& p) {
          dispatch_number("gather", p.dtype, [&]<class T>(T) { gather_elements<T>(p); });
        }}});
  return list;
}

const Candidates<IndexProblem>& scatter_add() {
  static const Candidates<IndexProblem> list(
      "scatter_add", {{"lanes", "a thread for each lane, in the order of its indices; bound by latency",
                       always<IndexProblem>, [](const IndexProblem& p) {
                         dispatch_number("scatter_add", p.dtype, [&]<class T>(T) { scatter_lanes<T>(p); });
                       }}});
  return list;
}

}  // namespace gradus::cuda
