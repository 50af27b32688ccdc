#pragma once
// A list of transforms with the normalisation that ends it, and the blend of whole batches, as one line of text:
//
//   random_crop(32, padding=4) | flip | normalize(cifar10)
//   random_resized_crop(224) | flip | color_jitter(brightness=0.4, contrast=0.4, saturation=0.4) | pca_color |
//   normalize(imagenet) resize(256) | center_crop(224) | normalize(imagenet) random_crop(32, padding=4) | flip |
//   cutout(16) | normalize(cifar10) | cutmix(1)

#include <string>
#include <string_view>
#include <vector>

#include "data/mix.hpp"
#include "data/transforms.hpp"

namespace gradus::data {

/// The constants of public checkpoints and of our own recipes, by name: cifar10, cifar100, imagenet, half (mean and std
/// 0.5), caffe (BN-Inception: B, G, R; 0..255 less 104, 117, 128), dpn, none (0..1). ValueError for another name.
Normalization normalization(std::string_view name);

class Pipeline {
 public:
  /// Nothing but bytes / 255.
  Pipeline() = default;
  /// Reads the notation above: transforms by the names in transforms.hpp, then normalize(NAME) or
  /// normalize(mean=R G B, std=R G B), then mixup(ALPHA), cutmix(ALPHA). The empty text is the empty pipeline.
  /// ValueError says what is wrong with which part.
  static Pipeline parse(std::string_view text);

  /// Appends a transform. ValueError if its kind comes before that of one already there.
  Pipeline& add(TransformPtr transform);
  Pipeline& set(const Normalization& normalization);
  Pipeline& set(const Mix& mix);

  /// Runs the transforms over one picture.
  void apply(Picture& picture, Random& random) const;
  const Normalization& normalization() const { return normalization_; }
  const Mix& mix() const { return mix_; }
  /// Whether all it does is at most one crop, flips and the normalisation: what a device can do (upload.hpp).
  bool only_places() const;

  /// The pipeline as text that parse() reads.
  std::string describe() const;

 private:
  std::vector<TransformPtr> transforms_;
  Normalization normalization_;
  Mix mix_;
};

}  // namespace gradus::data
