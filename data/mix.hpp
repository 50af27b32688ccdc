#pragma once
// Blending the samples of a batch with one another; labels become distributions over the classes.

#include <cstdint>
#include <span>

#include "core/tensor.hpp"
#include "data/random.hpp"

namespace gradus::data {

/// Which blend, and the parameter of lambda ~ Beta(alpha, alpha). Zero is off; if both are on, a fair coin chooses for
/// each batch.
struct Mix {
  float mixup =
      0;  // Zhang et al. 2018: lambda x_i + (1 - lambda) x_j, likewise the targets; 0.2 (ImageNet) to 1 (CIFAR)
  float cutmix = 0;  // Yun et al. 2019: a box of the area 1 - lambda comes from x_j, whose target weighs as much; 1

  bool on() const { return mixup > 0 || cutmix > 0; }
};

/// Blends `images` (f32 [N,C,H,W], channels-last) in place, one lambda and one box to a batch, sample i with sample
/// N-1-i: in a shuffled batch as random a partner as any, and no second batch is needed. Returns the targets, f32
/// [N, classes], rows summing to one; labels[i] is the class of sample i. With CutMix the weight is that of the box
/// after it was cut at the picture's edge.
Tensor mix_batch(const Mix& mix, Random& random, const Tensor& images, std::span<const std::int64_t> labels,
                 std::int64_t classes);

/// A draw from Beta(alpha, alpha).
double sample_beta(Random& random, double alpha);

}  // namespace gradus::data
