#pragma once
// A pool's windows (ops/pool/windows.hpp) as kernels read them: the tables lie in device memory, uploaded once.

#include "cuda/allocator.hpp"
#include "cuda/device_code.cuh"
#include "ops/pool/windows.hpp"

namespace gradus::cuda {

/// Along one dimension.
struct DeviceWindows {
  std::int64_t in, out, step, widest;
  const std::int64_t *begin, *count, *reader_begin;
  const double* size;
  const Windows::Reader* readers;

  explicit DeviceWindows(const Windows& w)
      : in(w.in),
        out(w.out),
        step(w.step),
        widest(w.widest),
        begin(constant_table(w.begin)),
        count(constant_table(w.count)),
        reader_begin(constant_table(w.reader_begin)),
        size(constant_table(w.size)),
        readers(constant_table(w.readers)) {}
};

struct DevicePlan {
  std::int64_t images, channels;
  DeviceWindows rows, cols;
  explicit DevicePlan(const PoolPlan& plan)
      : images(plan.in[0]), channels(plan.in[1]), rows(plan.rows), cols(plan.cols) {}

  std::int64_t in_size() const { return images * rows.in * cols.in * channels; }
  std::int64_t out_size() const { return images * rows.out * cols.out * channels; }
};

/// An element of a side of which rows x columns is the plane: [N, rows, columns, C] in memory.
struct PlaneElement {
  std::int64_t n, row, column, c;
  __device__ PlaneElement(std::int64_t i, std::int64_t rows, std::int64_t columns, std::int64_t channels) {
    c = i % channels;
    i /= channels;
    column = i % columns;
    i /= columns;
    row = i % rows;
    n = i / rows;
  }
};

}  // namespace gradus::cuda
