#pragma once
// The deconvolutional network of Zeiler and Fergus 2013 ("Visualizing and Understanding Convolutional Networks",
// arXiv:1311.2901, section 2.1): what in a picture caused one activation.
//
// From the activation back to the pixels: max pooling puts each value where its maximum was found (the switches;
// windows that overlap add up), a rectifier lets through what is positive of the signal that comes back, whatever it
// let through on the way forth, and a convolution applies its transposed filters. Response normalisation is passed by,
// as in the paper. Nothing else has an inverse here: batch norm and residual sums are a ValueError that names the
// layer.

#include <cstdint>
#include <string>
#include <vector>

#include "nn/module.hpp"

namespace gradus::program {

/// A place in a layer's maps.
struct Place {
  std::int64_t feature = 0, row = 0, column = 0;
};

/// The projection of that activation of `layer` for x [1, 3, H, W]: [1, 3, H, W].
Tensor deconvolve(Module& net, const Tensor& x, const std::string& layer, const Place& place);

/// The strongest activation of a feature in one picture.
struct Activation {
  std::int64_t sample = 0;
  Place place;
  float value = 0;
};

/// The strongest activations of every feature of a layer over many pictures, at most one a picture.
class TopActivations {
 public:
  explicit TopActivations(std::string layer, std::size_t count = 9) : layer_(std::move(layer)), count_(count) {}
  /// Runs the network on a batch [N, 3, H, W] whose first picture is sample `first`.
  void add(Module& net, const Tensor& x, std::int64_t first);
  std::int64_t features() const { return static_cast<std::int64_t>(top_.size()); }
  /// Strongest first.
  const std::vector<Activation>& of(std::int64_t feature) const { return top_[static_cast<std::size_t>(feature)]; }
  /// The features whose strongest activations are highest, best first.
  std::vector<std::int64_t> strongest(std::size_t count) const;

 private:
  std::string layer_;
  std::size_t count_;
  std::vector<std::vector<Activation>> top_;  // by feature
};

/// The smallest rectangle that holds all of x [1, C, H, W] that is not zero: rows [top, bottom), columns [left, right).
struct Extent {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
};
Extent extent_of(const Tensor& x);

}  // namespace gradus::program
