#pragma once
// A picture on its way into a batch. Cropping, flipping, shifting colours and erasing are only noted, and done in the
// one pass that normalises the pixels into the batch: for CIFAR's pad-crop-flip-normalise, each byte is read once and
// each float written once, and the padded picture never exists.

#include <array>
#include <vector>

#include "data/image.hpp"
#include "data/resize.hpp"

namespace gradus::data {

/// How bytes become the network's input: value = (byte / 255 - mean) / std, per channel, in the order R, G, B, or
/// B, G, R when `bgr`.
struct Normalization {
  std::array<float, 3> mean{0, 0, 0}, std{1, 1, 1};  // of R, G, B
  bool bgr = false;
};
/// The same as one multiplication and one addition: value = byte * scale + shift, per channel, R, G, B.
struct PixelMap {
  std::array<float, 3> scale, shift;
};
/// `added` (on the scale where white is 1) is added to every pixel.
PixelMap pixel_map(const Normalization& normalization, const std::array<float, 3>& added = {0, 0, 0});

/// A source image and what is to be done with it.
class Picture {
 public:
  /// The image to fill before a pipeline runs; reset() afterwards. Its memory is reused from one sample to the next.
  Image& source() { return image_; }
  /// Forgets all that was noted: the picture is the whole of source().
  void reset();

  int height() const { return window_.height; }
  int width() const { return window_.width; }
  /// What write() reads: the image, the part of it that is the picture (beyond its edge the picture is black), and
  /// whether that part is mirrored.
  const Image& image() const { return image_; }
  const Box& window() const { return window_; }
  bool flipped() const { return flipped_; }

  /// The part `box` of this picture, which may reach beyond it: what lies outside is black.
  void crop(const Box& box);
  /// Mirrors left and right.
  void flip();
  /// Adds `amount` (R, G, B; on the scale where white is 1) to every pixel, without clipping.
  void shift(const std::array<float, 3>& amount);
  /// Sets the part of `box` that lies in the picture to zero after normalisation, to the mean colour in other words.
  void erase(const Box& box);

  /// The pixels themselves, with all crops and flips done, for whatever reads or changes them.
  Image& pixels();
  /// Replaces the pixels by the part `box` of them, resized.
  void resize(const Box& box, int height, int width);

  /// Writes height() x width() x 3 floats, row by row: one sample of a channels-last batch. Computed as
  /// byte * (1 / (255 std)) + (shift - mean) / std, within one unit in the last place or two of PyTorch's order.
  void write(const Normalization& normalization, float* out) const;

 private:
  Image image_, spare_;
  Box window_;            // of image_; beyond its edge the picture is black
  bool flipped_ = false;  // after taking the window
  std::array<float, 3> shift_{0, 0, 0};
  std::vector<Box> erased_;  // in the coordinates of the finished picture
};

}  // namespace gradus::data
