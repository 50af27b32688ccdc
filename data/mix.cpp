#include "data/mix.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace gradus::data {
namespace {

/// Gamma(shape, 1) by Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; below shape 1 by
/// their Gamma(a) = Gamma(a + 1) U^(1/a).
double sample_gamma(Random& random, double shape) {
  if (shape < 1) {
    const double u = 1.0 - random.uniform();
    return sample_gamma(random, shape + 1) * std::pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1.0 - random.uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

double sample_beta(Random& random, double alpha) {
  const double a = sample_gamma(random, alpha), b = sample_gamma(random, alpha);
  return a + b > 0 ? a / (a + b) : 0.5;  // both underflow only for alpha below about 0.01
}

Tensor mix_batch(const Mix& mix, Random& random, const Tensor& images, std::span<const std::int64_t> labels,
                 std::int64_t classes) {
  check<ValueError>(mix.on() && mix.mixup >= 0 && mix.cutmix >= 0,
                    "mix: alpha must be positive, not {} (mixup) and {} (cutmix)", mix.mixup, mix.cutmix);
  check<ShapeError>(
      images.rank() == 4 && images.is_contiguous(Format::channels_last) && images.size(0) == std::ssize(labels),
      "mix: needs channels-last images [N,C,H,W] and N labels, there are {} labels\n{}", labels.size(),
      describe({{"images", &images}}));
  const std::int64_t n = images.size(0), channels = images.size(1), height = images.size(2), width = images.size(3);
  const bool cut = mix.cutmix > 0 && (mix.mixup <= 0 || random.chance(0.5f));
  double lambda = sample_beta(random, cut ? mix.cutmix : mix.mixup);
  float* data = images.data<float>();
  const std::int64_t row = width * channels, sample = height * row;

  if (cut) {
    const double side = std::sqrt(1 - lambda);
    const auto h = static_cast<std::int64_t>(static_cast<double>(height) * side);
    const auto w = static_cast<std::int64_t>(static_cast<double>(width) * side);
    const std::int64_t cy = random.below(static_cast<std::uint32_t>(height)),
                       cx = random.below(static_cast<std::uint32_t>(width));
    const std::int64_t top = std::max<std::int64_t>(cy - h / 2, 0), bottom = std::min(cy + h / 2, height);
    const std::int64_t left = std::max<std::int64_t>(cx - w / 2, 0), right = std::min(cx + w / 2, width);
    for (std::int64_t i = 0; i < n / 2; ++i)
      for (std::int64_t y = top; y < bottom; ++y) {
        float* mine = data + i * sample + y * row;
        std::swap_ranges(mine + left * channels, mine + right * channels,
                         data + (n - 1 - i) * sample + y * row + left * channels);
      }
    lambda = 1 - static_cast<double>((bottom - top) * (right - left)) / static_cast<double>(height * width);
  } else {
    const auto keep = static_cast<float>(lambda), take = static_cast<float>(1 - lambda);
    for (std::int64_t i = 0; i < n / 2; ++i) {
      float *a = data + i * sample, *b = data + (n - 1 - i) * sample;
      for (std::int64_t k = 0; k < sample; ++k) {
        const float x = a[k], y = b[k];
        a[k] = keep * x + take * y, b[k] = keep * y + take * x;
      }
    }
  }
  Tensor targets = zeros({n, classes});
  float* t = targets.data<float>();
  for (std::int64_t i = 0; i < n; ++i) {
    t[i * classes + labels[i]] += static_cast<float>(lambda);
    t[i * classes + labels[n - 1 - i]] += static_cast<float>(1 - lambda);
  }
  return targets;
}

}  // namespace gradus::data
