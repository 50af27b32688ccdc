#pragma once
// Batches that cross to the device as bytes, a quarter of what floats are, and are cropped, mirrored and normalised
// there by one kernel. Where each picture was cut and whether it was mirrored has been drawn on the host, from the
// sample's own stream as always; so the result is that of Picture::write, bit for bit.

#include <string>

#include "core/tensor.hpp"
#include "data/picture.hpp"

namespace gradus::data {

/// N images of one size, and which part of each is the picture.
class PlacedBytes {
 public:
  /// Room for `pictures` images like that of `first`.
  PlacedBytes(std::int64_t pictures, const Picture& first, const Normalization& normalization);
  /// Copies image i and notes its place. ValueError, with `origin`, for an image or a picture of another size than the
  /// first.
  void set(std::int64_t i, const Picture& picture, const std::string& origin);
  /// Keeps the first `pictures`.
  void keep(std::int64_t pictures);

  /// f32 [N, 3, height, width], channels-last, on a CUDA device; DeviceError for another.
  Tensor upload(Device device) const;

 private:
  Tensor bytes_;   // u8 [N, 3, H, W], channels-last: rows of R, G, B
  Tensor places_;  // i64 [N, 3]: top and left of the picture in the image, 1 if it is mirrored
  int height_, width_;
  Normalization normalization_;
};

/// The kernel's problem. Memory on the device.
struct PlaceProblem {
  std::int64_t pictures, image_height, image_width, height, width;
  bool bgr;
  PixelMap map;
  const std::uint8_t* bytes;
  const std::int64_t* places;
  float* y;
};
namespace cuda {
/// y[n, i, j] = pixel (top + i, left + j, or mirrored left + width - 1 - j) * scale + shift; outside the image the
/// pixel is black. Bound by memory: 3 bytes read and 12 written for each pixel.
void place(const PlaceProblem&);
}  // namespace cuda

}  // namespace gradus::data
