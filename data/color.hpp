#pragma once
// Changes of brightness, contrast, saturation and hue, bit for bit as Pillow's ImageEnhance and torchvision's
// adjust_hue make them. All work in place.

#include "data/image.hpp"

namespace gradus::data {

/// Every channel times `factor`: 0 is black, 1 leaves the picture alone.
void adjust_brightness(Image& image, float factor);
/// Away from (factor > 1) or towards (factor < 1) the picture's mean grey.
void adjust_contrast(Image& image, float factor);
/// Away from or towards each pixel's own grey.
void adjust_saturation(Image& image, float factor);
/// Turns the hue by `turn` in [-0.5, 0.5] of the colour circle.
void adjust_hue(Image& image, float turn);

}  // namespace gradus::data
