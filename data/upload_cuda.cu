// Cropping, mirroring and normalising bytes on CUDA: a thread for each pixel of the result. Bound by memory.

#include "cuda/each.cuh"
#include "data/upload.hpp"

namespace gradus::data::cuda {

void place(const PlaceProblem& p) {
  const PlaceProblem q = p;
  const float s0 = p.map.scale[0], s1 = p.map.scale[1], s2 = p.map.scale[2];
  const float t0 = p.map.shift[0], t1 = p.map.shift[1], t2 = p.map.shift[2];
  gradus::cuda::each(p.pictures * p.height * p.width, [=] __device__(std::int64_t i) {
    const std::int64_t column = i % q.width, row = i / q.width % q.height, n = i / q.width / q.height;
    const std::int64_t* at = q.places + n * 3;
    const std::int64_t from_row = at[0] + row;
    const std::int64_t from_column = at[1] + (at[2] != 0 ? q.width - 1 - column : column);
    // Two roundings, as on the CPU: never a fused multiply-add.
    float r = t0, g = t1, b = t2;
    if (from_row >= 0 && from_row < q.image_height && from_column >= 0 && from_column < q.image_width) {
      const std::uint8_t* pixel = q.bytes + ((n * q.image_height + from_row) * q.image_width + from_column) * 3;
      r = __fadd_rn(__fmul_rn(static_cast<float>(pixel[0]), s0), t0);
      g = __fadd_rn(__fmul_rn(static_cast<float>(pixel[1]), s1), t1);
      b = __fadd_rn(__fmul_rn(static_cast<float>(pixel[2]), s2), t2);
    }
    float* y = q.y + i * 3;
    y[0] = q.bgr ? b : r;
    y[1] = g;
    y[2] = q.bgr ? r : b;
  });
}

}  // namespace gradus::data::cuda
