#pragma once
// What is done to one sample between the data set and the batch. A transform changes a Picture with random numbers from
// the sample's own stream; a Pipeline (pipeline.hpp) is a list of them, and can be written as text.
//
//   name and arguments                         what it does                                                   from
//   resize(S)                                  shorter side S, Pillow's bilinear torchvision resize(H W) exactly H x W
//   random_resize(LO HI)                       shorter side uniform in {LO..HI}                               VGG,
//   ResNet center_crop(S) or (H W)                    the middle, black beyond the edge torchvision random_crop(S,
//   padding=P) or (H W, ...)    a uniform place; P black pixels are added at each side first   ResNet, CIFAR
//   random_resized_crop(S, area=0.08 1, ratio=0.75 1.3333)   a part of that share of the area, resized to S   GoogLeNet
//   flip or flip(P)                            left-right, with probability P (0.5)
//   color_jitter(brightness=B, contrast=C, saturation=S, hue=H)   factors uniform in [1-B, 1+B], ..., in random order
//   pca_color(SIGMA)                           AlexNet's colour shift along the principal components (0.1)
//   cutout(S)                                  an S x S square around a uniform pixel becomes the mean colour DeVries
//   2017
//
// They come in this order of kinds: first those that move pixels, then color_jitter, then pca_color, then cutout (a
// flip may stand anywhere). Each checks its arguments when it is made: ValueError with its name, the rule and what
// came.

#include <memory>
#include <string>
#include <string_view>

#include "data/picture.hpp"
#include "data/random.hpp"

namespace gradus::data {

class Transform {
 public:
  /// The order of kinds above. A flip has none.
  enum class Kind { kAny, kPlace, kColor, kLight, kErase };

  virtual ~Transform() = default;
  /// Changes the picture. Random numbers come from `random` alone.
  virtual void apply(Picture& picture, Random& random) const = 0;
  /// As it would be written: "random_crop(32 32, padding=4)".
  virtual std::string describe() const = 0;
  virtual Kind kind() const = 0;
  /// Whether it only says which part of the image the picture is and whether that is mirrored, and reads no pixel: a
  /// crop, a flip. Then a device can do it later (upload.hpp).
  virtual bool only_places() const { return false; }
};
using TransformPtr = std::shared_ptr<const Transform>;

/// Height and width; one number means a square.
struct Size {
  int height, width;
  Size(int side) : height(side), width(side) {}  // NOLINT: a side is a size
  Size(int h, int w) : height(h), width(w) {}
};
/// Both ends included.
struct Range {
  float low, high;
};

TransformPtr resize_short_side(int size);
TransformPtr resize_to(Size size);
TransformPtr random_resize(int low, int high);
TransformPtr center_crop(Size size);
/// ValueError when applied to a picture that, padded, is smaller than `size`.
TransformPtr random_crop(Size size, int padding = 0);
/// Ten tries for a rectangle whose share of the area is uniform in `area` and the logarithm of whose width/height is
/// uniform in log `ratio`; then the largest middle part with an allowed ratio (torchvision's RandomResizedCrop).
TransformPtr random_resized_crop(Size size, Range area = {0.08f, 1}, Range ratio = {0.75f, 4.0f / 3});
TransformPtr random_flip(float probability = 0.5f);

struct ColorJitter {
  float brightness = 0, contrast = 0, saturation = 0, hue = 0;
};
/// Pillow's enhancers on bytes, as torchvision's ColorJitter uses them.
TransformPtr color_jitter(ColorJitter strength);
/// Adds sum_i a_i l_i e_i to every pixel, a_i ~ N(0, sigma) per picture, l and e the eigenvalues and eigenvectors of
/// the RGB covariance of ImageNet (Krizhevsky 2012, section 4.1).
TransformPtr pca_color(float sigma = 0.1f);
TransformPtr cutout(int size);

/// The transform written as `text`, a name and its arguments as in the table above. ValueError if the name is unknown
/// (with the nearest known one) or an argument is.
TransformPtr parse_transform(std::string_view text);

}  // namespace gradus::data
