#include "ops/conv2d/conv2d_moments.hpp"

#include <algorithm>

#include "core/parallel.hpp"

namespace gradus {

namespace {
constexpr std::int64_t kWidest = 64;  // channels that a kernel may round up to
}

MomentParts::MomentParts(std::int64_t channels, std::int64_t parts)
    : channels_(channels),
      step_((channels + kWidest - 1) / kWidest * kWidest),
      results_(static_cast<std::size_t>(parts)),
      sums_(std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(3 * step_ * parts))) {}

ResultSums MomentParts::begin(std::int64_t part, std::int64_t results) {
  results_[static_cast<std::size_t>(part)] = results;
  float* shift = sums_.get() + part * 3 * step_;
  std::fill_n(shift + 2 * step_, step_, -1.f);
  return {shift, shift + step_, shift + 2 * step_};
}

Moments MomentParts::all() const {
  constexpr std::int64_t kEach = 64;  // channels of a task
  Moments all;
  all.mean.resize(static_cast<std::size_t>(channels_)), all.m2.resize(static_cast<std::size_t>(channels_));
  parallel_ranges(channels_, kEach, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t count = 0;
    for (std::size_t part = 0; part < results_.size(); ++part) {
      if (results_[part] == 0) continue;
      const float* shift = sums_.get() + static_cast<std::int64_t>(part) * 3 * step_ + begin;
      channel_rows<float>().join_moments(shift, shift + step_, shift + 2 * step_, 1, end - begin, results_[part],
                                         all.mean.data() + begin, all.m2.data() + begin, count);
      count += results_[part];
    }
  });
  for (const std::int64_t results : results_) all.count += results;
  return all;
}

}  // namespace gradus
