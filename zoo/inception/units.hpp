#pragma once
// What the blocks of Inception-v3, v4 and Inception-ResNet-v2 are made of.

#include <initializer_list>
#include <string>
#include <utility>

#include "nn/branches.hpp"
#include "nn/layers/conv_bn.hpp"
#include "nn/layers/pool.hpp"
#include "nn/sequential.hpp"

namespace gradus::zoo {

/// Convolution that keeps the map's size (an odd kernel, padded), batch norm with eps 1e-3, ReLU.
ConvBnRelu unit(std::int64_t in, std::int64_t out, Pair kernel);
/// 3x3 with stride 2, unpadded, batch norm, ReLU.
ConvBnRelu halving_unit(std::int64_t in, std::int64_t out);

/// An entry of a chain.
struct Named {
  std::string name;
  mutable ConvBnRelu unit;  // initializer lists are const; chain() takes it over
};
/// Units in a row, each under its own name.
Sequential chain(std::initializer_list<Named> units);

/// Whether an average counts the padding: torchvision's Inception-v3 does, v4 and Inception-ResNet-v2 do not.
inline constexpr bool kCountPadding = true, kWithoutPadding = false;
/// 3x3 average, then a unit under `name`.
Sequential averaged(const std::string& name, ConvBnRelu unit, bool count_padding);
/// Two units side by side from one input.
Branches fan(const std::string& name_a, ConvBnRelu a, const std::string& name_b, ConvBnRelu b);

}  // namespace gradus::zoo
