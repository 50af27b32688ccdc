#pragma once
// The views of a picture over which a test protocol averages.
//
//   crops   views, per scale S (the shorter side after resizing), of C x C pixels                       from
//   one     the centre                                                                                  common use
//   ten     four corners and the centre of the picture, and of its mirror image         Krizhevsky 2012, section 4.1
//   many    three squares S x S (left, centre, right; of a tall picture top, centre, bottom), of each the four
//           corners, the centre and the whole square resized, and their mirror images: 36 a scale, 144 at four
//                                                                                           Szegedy 2014, section 7
//   whole   all of the resized picture: for networks that run densely over it         Simonyan 2014, section 3.2
//
// Resizing is Pillow's, and centres are rounded as torchvision rounds them.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/tensor.hpp"
#include "data/dataset.hpp"
#include "data/picture.hpp"

namespace gradus::data {

enum class Crops { one, ten, many, whole };

struct Protocol {
  Crops crops = Crops::one;
  std::vector<int> scales{256};  // shorter sides
  int size = 224;                // C
  bool mirror = false;           // one and whole: the mirror image too
  Normalization normalization{};
};

/// The views of `image`: f32 [V, 3, H, W], channels-last in memory; one tensor for all views of C x C, and one per
/// scale of whole pictures, whose sizes differ. `scratch` lends its memory. ValueError for a scale that is smaller than
/// the crop.
std::vector<Tensor> make_views(const Protocol& protocol, const Image& image, Picture& scratch);

/// How many views make_views() gives, over all scales.
std::int64_t views_of(const Protocol& protocol);

/// Views of the samples of a data set in order, made ahead of time by worker threads.
class ViewLoader {
 public:
  struct Sample {
    std::int64_t index = 0, label = 0;
    std::vector<Tensor> views;
  };

  /// `ahead`: samples made ahead, at most; 0: four for each worker. Who takes several samples at a time needs as many
  /// again ahead, or waits for them. ValueError for a protocol without scales or workers < 1.
  ViewLoader(std::shared_ptr<const Dataset> dataset, Protocol protocol, int workers = 1, std::int64_t ahead = 0);
  ~ViewLoader();
  ViewLoader(const ViewLoader&) = delete;
  ViewLoader& operator=(const ViewLoader&) = delete;

  /// The next sample; nothing after the last. Samples that the data set skips are left out. What went wrong while a
  /// sample was made is thrown by the call that would have returned it.
  std::optional<Sample> next();
  const Dataset& dataset() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gradus::data
