#pragma once
// What a network's weights want pictures to look like, as text that data/pipeline.hpp reads.

#include <cstdint>
#include <string>

#include "zoo/recipes.hpp"

namespace gradus::program {

/// "resize(256) | center_crop(224 224) | normalize(imagenet)".
std::string pipeline_text(const zoo::Preprocessing& preprocessing);

/// The pipeline of the weights published for a model of the zoo: zoo::preprocessing() as text.
std::string published_preprocessing(const std::string& model);

/// The "normalize(...)" of a pipeline; empty where it has none.
std::string normalization_of(const std::string& pipeline);

/// The shorter side that a pipeline resizes to and the side of its crop; for a network of input `size` without one, the
/// crop is the input and the shorter side the usual 8/7 of it.
struct Geometry {
  int resize = 0, crop = 0;
};
Geometry geometry_of(const std::string& pipeline, std::int64_t size);

/// The pipeline, with a resize to `size` x `size` before it unless it has one: for pictures of any size.
std::string for_any_picture(const std::string& pipeline, std::int64_t size);

}  // namespace gradus::program
