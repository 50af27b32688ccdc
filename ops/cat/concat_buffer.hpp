#pragma once
// Concatenation that never copies what is already there: the channels of a dense block (Huang et al. 2016, section 3).
//
// A dense block concatenates its input and every layer's output again and again. Here all of it lives in one buffer,
// [N, capacity, H, W] channels-last, and each append writes its own channels only: a block of depth L moves O(L) new
// channels instead of O(L^2), and holds its result once.

#include "core/tensor.hpp"

namespace gradus {

class ConcatBuffer {
 public:
  /// Room for `capacity` channels, of which x [N, C, H, W] takes the first C. ShapeError if x is not 4-D or too wide.
  ConcatBuffer(const Tensor& x, std::int64_t capacity);

  /// Everything so far, [N, C, H, W]: a view of the buffer, which later appends leave as it is.
  const Tensor& held() const { return held_; }
  /// cat({held(), y}, 1) for y [N, k, H, W], at the cost of copying y; also held() from now on. ShapeError where y does
  /// not fit or the capacity is exceeded; DTypeError and DeviceError where it is unlike x. The gradients are views of
  /// gy.
  Tensor append(const Tensor& y);

 private:
  Tensor buffer_;
  Tensor held_;
};

}  // namespace gradus
