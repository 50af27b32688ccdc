// CPU kernels of se_scale: the definition, and blocks of rows.

#include <memory>

#include "core/parallel.hpp"
#include "ops/se_scale/se_scale_kernels.hpp"

namespace gradus {
namespace {

using std::int64_t;

int64_t block_words(const RowBlocks& blocks) { return gate_words(blocks.elements()); }
int64_t image_words(const RowBlocks& blocks) { return blocks.count * block_words(blocks); }

/// The word of element row, c of an image, and its bit.
std::pair<int64_t, int64_t> place(const RowBlocks& blocks, int64_t row, int64_t c) {
  const int64_t e = row % blocks.block_rows * blocks.channels + c;
  return {row / blocks.block_rows * block_words(blocks) + e / 512 * 16 + e % 16, e % 512 / 16};
}

// ---- reference

/// fn(image, row, channel, offset in x, offset in s)
template <class Problem, class Fn>
void each_element(const Problem& p, Fn&& fn) {
  for (int64_t n = 0; n < p.images; ++n)
    for (int64_t i = 0; i < p.rows; ++i)
      for (int64_t c = 0; c < p.channels; ++c) fn(n, i, c, (n * p.rows + i) * p.channels + c, n * p.channels + c);
}

template <class T>
void forward_reference(const SeScaleForward<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  if (p.bits != nullptr) std::fill(p.bits, p.bits + se_scale_words(p.images, p.rows, p.channels), 0u);
  each_element(p, [&](int64_t n, int64_t row, int64_t c, int64_t at, int64_t s) {
    double v = static_cast<double>(p.x[at]) * static_cast<double>(p.s[s]);
    if (p.residual != nullptr) v += static_cast<double>(p.residual[at]);
    p.y[at] = static_cast<T>(p.relu && v <= 0 ? 0 : v);
    if (p.bits == nullptr || !(p.y[at] > 0)) return;
    const auto [word, bit] = place(blocks, row, c);
    p.bits[n * image_words(blocks) + word] |= 1u << bit;
  });
}

template <class T>
void backward_reference(const SeScaleBackward<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  std::vector<double> sums(static_cast<std::size_t>(p.images * p.channels));
  each_element(p, [&](int64_t n, int64_t row, int64_t c, int64_t at, int64_t s) {
    bool open = true;
    if (p.gate == Gate::from_x) open = p.x[at] * p.s[s] > 0;
    if (p.gate == Gate::from_bits) {
      const auto [word, bit] = place(blocks, row, c);
      open = (p.bits[n * image_words(blocks) + word] >> bit & 1) != 0;
    }
    const double g = open ? static_cast<double>(p.gy[at]) : 0;
    sums[static_cast<std::size_t>(s)] += g * static_cast<double>(p.x[at]);
    if (p.gres != nullptr) p.gres[at] = static_cast<T>(g);
    if (p.gx != nullptr) p.gx[at] = static_cast<T>(g * static_cast<double>(p.s[s]));
  });
  for (std::size_t i = 0; p.gs != nullptr && i < sums.size(); ++i) p.gs[i] = static_cast<T>(sums[i]);
}

// ---- rows

template <class T>
void forward_rows(const SeScaleForward<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  const std::vector<T> zeros(static_cast<std::size_t>(blocks.width));
  parallel_for(p.images * blocks.chunks(), [&](int64_t task) {
    const int64_t n = task / blocks.chunks();
    const std::vector<T> s = blocks.repeated(p.s + n * p.channels);
    blocks.each(task % blocks.chunks(), p.rows, [&](int64_t block, int64_t row, int64_t count) {
      const int64_t at = (n * p.rows + row) * p.channels, elements = count * p.channels;
      channel_rows<T>().apply(p.x + at, blocks.width, p.residual != nullptr ? p.residual + at : nullptr, s.data(),
                              zeros.data(), p.relu, p.y + at, elements, blocks.width);
      if (p.bits != nullptr)
        channel_rows<T>().gate_bits(p.y + at, elements, p.bits + n * image_words(blocks) + block * block_words(blocks));
    });
  });
}

template <class T>
void backward_rows(const SeScaleBackward<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  const auto width = static_cast<std::size_t>(blocks.width), channels = static_cast<std::size_t>(p.channels);
  const std::vector<T> zeros(width);
  std::vector<double> parts(static_cast<std::size_t>(p.images * blocks.chunks()) * channels);
  parallel_for(p.images * blocks.chunks(), [&](int64_t task) {
    const int64_t n = task / blocks.chunks();
    const std::vector<T> s = blocks.repeated(p.s + n * p.channels);
    double* part = parts.data() + static_cast<std::size_t>(task) * channels;
    const bool own = p.gres == nullptr && p.gate != Gate::none;
    const auto scratch =
        std::make_unique_for_overwrite<T[]>((own ? static_cast<std::size_t>(blocks.elements()) : 0) + 2 * width);
    T *s1 = scratch.get(), *s2 = s1 + width;
    blocks.each(task % blocks.chunks(), p.rows, [&](int64_t block, int64_t row, int64_t count) {
      const int64_t at = (n * p.rows + row) * p.channels, elements = count * p.channels;
      T* into = own ? s2 + width : p.gres != nullptr ? p.gres + at : nullptr;
      const T* g = into;
      if (p.gate == Gate::from_bits) {
        channel_rows<T>().gate_by_bits(p.gy + at, p.bits + n * image_words(blocks) + block * block_words(blocks),
                                       elements, into);
      } else if (p.gate == Gate::from_x) {
        channel_rows<T>().gate_by_x(p.gy + at, p.x + at, blocks.width, s.data(), zeros.data(), elements, blocks.width,
                                    into);
      } else {
        g = p.gy + at;
        if (into != nullptr && into != g) std::copy(g, g + elements, into);
      }
      if (p.gs != nullptr) {
        channel_rows<T>().reduce(g, p.x + at, blocks.width, zeros.data(), nullptr, nullptr, false, elements,
                                 blocks.width, s1, s2);
        for (std::size_t j = 0; j < width; ++j) part[j % channels] += static_cast<double>(s2[j]);
      }
      if (p.gx != nullptr) channel_rows<T>().scale(g, s.data(), p.gx + at, elements, blocks.width);
    });
  });
  if (p.gs == nullptr) return;
  const auto chunks = static_cast<std::size_t>(blocks.chunks());
  for (std::size_t n = 0; n < static_cast<std::size_t>(p.images); ++n)
    for (std::size_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (std::size_t k = 0; k < chunks; ++k) sum += parts[(n * chunks + k) * channels + c];
      p.gs[n * channels + c] = static_cast<T>(sum);
    }
}

}  // namespace

template <class T>
const Candidates<SeScaleForward<T>>& se_scale_candidates() {
  using Problem = SeScaleForward<T>;
  static const Candidates<Problem> all(
      "se_scale.forward", {{"rows", "vectors along channels; bound by memory", always<Problem>, forward_rows<T>},
                           {"reference", "one element at a time, in double", always<Problem>, forward_reference<T>}});
  return all;
}
template <class T>
const Candidates<SeScaleBackward<T>>& se_scale_backward_candidates() {
  using Problem = SeScaleBackward<T>;
  static const Candidates<Problem> all(
      "se_scale.backward",
      {{"rows", "vectors along channels, all gradients from one pass over a block", always<Problem>, backward_rows<T>},
       {"reference", "one element at a time, in double", always<Problem>, backward_reference<T>}});
  return all;
}

int64_t se_scale_words(int64_t images, int64_t rows, int64_t channels) {
  return images * image_words(RowBlocks(rows, channels));
}

template <class T>
void se_scale_expand_bits(const std::uint32_t* bits, int64_t images, int64_t rows, int64_t channels, T* open) {
  const RowBlocks blocks(rows, channels);
  for (int64_t n = 0; n < images; ++n)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < channels; ++c) {
        const auto [word, bit] = place(blocks, i, c);
        open[(n * rows + i) * channels + c] = static_cast<T>(bits[n * image_words(blocks) + word] >> bit & 1);
      }
}

#define GRADUS_INSTANTIATE(T)                                                    \
  template const Candidates<SeScaleForward<T>>& se_scale_candidates();           \
  template const Candidates<SeScaleBackward<T>>& se_scale_backward_candidates(); \
  template void se_scale_expand_bits(const std::uint32_t*, int64_t, int64_t, int64_t, T*);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus
