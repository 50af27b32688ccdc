#include "ops/channel_rows/moments.hpp"

#include "core/parallel.hpp"

namespace gradus {

namespace {

/// `part` joins what stands in mean and m2 (Chan, Golub and LeVeque 1979, equation 1.5).
void merge(double* mean, double* m2, std::int64_t count, const double* part_mean, const double* part_m2,
           std::int64_t part_count, std::int64_t channels) {
  const auto total = static_cast<double>(count + part_count);
  const double share = static_cast<double>(part_count) / total, weight = static_cast<double>(count) * share;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double delta = part_mean[c] - mean[c];
    mean[c] += delta * share;
    m2[c] += part_m2[c] + delta * delta * weight;
  }
}

}  // namespace

Moments combine_moments(const std::vector<Moments>& parts, std::int64_t channels) {
  constexpr std::int64_t kEach = 64;  // channels of a task
  Moments total;
  total.mean.resize(static_cast<std::size_t>(channels));
  total.m2.resize(static_cast<std::size_t>(channels));
  for (const Moments& part : parts) total.count += part.count;
  parallel_ranges(channels, kEach, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t count = 0;
    for (const Moments& part : parts) {
      if (part.count == 0) continue;
      merge(total.mean.data() + begin, total.m2.data() + begin, count, part.mean.data() + begin, part.m2.data() + begin,
            part.count, end - begin);
      count += part.count;
    }
  });
  return total;
}

template <class T>
BlockMoments<T>::BlockMoments(std::int64_t channels, bool joined)
    : blocks_(0, channels, 1, joined), scratch_(static_cast<std::size_t>(3 * blocks_.width)) {}

template <class T>
void BlockMoments<T>::join(const T* x, std::int64_t x_stride, std::int64_t rows, double* mean, double* m2,
                           std::int64_t count) {
  const std::int64_t channels = blocks_.channels, width = blocks_.width;
  if (channels == 0 || rows == 0) return;
  T *shift = scratch_.data(), *s1 = shift + width, *s2 = s1 + width;
  // Distances from the first row: small numbers, so that nothing cancels where the mean is far from 0.
  for (std::int64_t j = 0; j < width; j += channels) std::copy_n(x, channels, shift + j);
  channel_rows<T>().moments(x, blocks_.repeat * x_stride, rows * channels, width, shift, s1, s2);
  channel_rows<T>().join_moments(shift, s1, s2, blocks_.repeat, channels, rows, mean, m2, count);
}

template <class T>
void BlockMoments<T>::join(const T* x, std::int64_t x_stride, std::int64_t rows, Moments& total) {
  const auto channels = static_cast<std::size_t>(blocks_.channels);
  total.mean.resize(channels), total.m2.resize(channels);
  join(x, x_stride, rows, total.mean.data(), total.m2.data(), total.count);
  total.count += rows;
}

template class BlockMoments<float>;
template class BlockMoments<double>;

void keep_moments(const Tensor& x, std::int64_t stride, Moments moments) {
  const auto kept = std::make_shared<KeptMoments>();
  kept->version = x.version(), kept->first = x.data_ptr(), kept->dtype = x.dtype();
  kept->stride = stride, kept->moments = std::move(moments);
  x.storage().derived = kept;
}

std::shared_ptr<KeptMoments> kept_moments(const Tensor& x, std::int64_t rows, std::int64_t stride) {
  auto kept = std::dynamic_pointer_cast<KeptMoments>(x.storage().derived);
  const bool fits = kept && kept->version == x.version() && kept->first == x.data_ptr() && kept->dtype == x.dtype() &&
                    kept->moments.count == rows && kept->stride == stride;
  return fits ? kept : nullptr;
}

}  // namespace gradus
