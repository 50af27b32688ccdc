#pragma once
// Resizing, bit for bit as Pillow does it: published weights are evaluated on pictures that Pillow resized.

#include "data/image.hpp"

namespace gradus::data {

/// A rectangle of whole pixels.
struct Box {
  int top = 0, left = 0, height = 0, width = 0;
};

/// The part `box` of `in`, resized to height x width with a triangle filter that widens when the picture shrinks
/// (antialiased bilinear; Pillow's Image.resize(..., BILINEAR), Resample.c: a horizontal, then a vertical pass, weights
/// in 22-bit fixed point, rounded to bytes between the passes). `out` must not be `in`. ValueError if a size is not
/// positive or the box does not lie in the picture.
void resize(const Image& in, const Box& box, int height, int width, Image& out);

/// The part `box` of `in`; `out` must not be `in`. ValueError if it does not lie in the picture.
void crop(const Image& in, const Box& box, Image& out);

}  // namespace gradus::data
