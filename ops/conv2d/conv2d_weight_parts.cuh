#pragma once
// Split-K of backward weight. Its depth, all pixels, is long and its result small: it is cut into parts that run side
// by side, whose sums are added in order by a second pass, so that the same problem gives the same bits.

#include "cuda/allocator.hpp"
#include "cuda/each.cuh"
#include "ops/conv2d/conv2d_rungs.cuh"
#include "ops/conv2d/conv2d_sources.cuh"

namespace gradus::cuda {

/// gw [size] = the sum of partial [parts][size].
template <class T>
void add_parts(std::int64_t parts, std::int64_t size, const Sum<T>* partial, T* gw) {
  each(size, [=] __device__(std::int64_t i) {
    Sum<T> total = partial[i];
    for (std::int64_t s = 1; s < parts; ++s) total += partial[s * size + i];
    gw[i] = device_convert<T>(total);
  });
}

/// product(source, layers) must compute the matrix product of all layers.
template <class T, class Product>
void backward_weight_in_parts(const ConvBackwardWeight& p, Product&& product) {
  const std::int64_t parts = weight_parts(p.shape);
  if (parts == 1) return product(BackwardWeightSource<T>(p, 1, nullptr), p.shape.groups);
  const DeviceWorkspace<Sum<T>> partial(parts * p.shape.w_size());
  product(BackwardWeightSource<T>(p, parts, partial.data()), parts * p.shape.groups);
  add_parts(parts, p.shape.w_size(), partial.data(), static_cast<T*>(p.gw));
}

}  // namespace gradus::cuda
