#pragma once
// The built-in data set: ten classes of 32 x 32 RGB scenes, drawn as they are asked for. Nothing to download.
//
// A scene is one shaded solid (sphere, cube, cylinder, cone, torus, pyramid, star, cross, dumbbell, hemisphere) with a
// textured surface, in a random pose, size and place, under a random light, before a textured background with clutter,
// partly hidden by a bar, with the exposure, the colour cast and the noise of a poor camera. Pixels alone say little
// about the class (a linear classifier stays far below one half); the outline, the shading and the edges do.

#include <cstdint>

#include "data/dataset.hpp"

namespace gradus::data {

struct ShapesOptions {
  std::int64_t size = 20'000;  // samples; class i % 10 is drawn at index i, so every ten samples hold each class once
  bool train = true;           // train and validation scenes come from different streams of random numbers
  std::uint64_t seed = 0;      // another seed is another data set
};

/// Scene `i` depends on (seed, train, i) alone: the same pixels on every machine with IEEE arithmetic, because drawing
/// uses only + - * / and square root. About 0.2 ms a scene; hold it with in_memory() if it is read every epoch.
class Shapes final : public Dataset {
 public:
  /// ValueError unless size is positive and below 2^32.
  explicit Shapes(ShapesOptions options = {});

  std::int64_t size() const override { return options_.size; }
  const std::vector<std::string>& classes() const override;
  std::int64_t label(std::int64_t index) const override;
  bool get(std::int64_t index, Image& image) const override;
  std::string origin(std::int64_t index) const override;

  static constexpr int kSize = 32;  // height and width
  static constexpr int kClasses = 10;

 private:
  ShapesOptions options_;
};

}  // namespace gradus::data
