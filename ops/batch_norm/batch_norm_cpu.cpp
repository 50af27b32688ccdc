// CPU kernels of batch normalisation: the definition first, the blocked vector code under it.

#include <cmath>
#include <memory>
#include <numeric>
#include <type_traits>

#include "core/parallel.hpp"
#include "ops/batch_norm/batch_norm_kernels.hpp"

namespace gradus {
namespace {

using std::int64_t;

constexpr int64_t kMomentRows = 64;  // merging a block's moments costs ten operations a channel: spread over 64 rows
/// Words of a block's gate bits.
int64_t block_words(const RowBlocks& blocks) { return gate_words(blocks.elements()); }

bool bit_of(const std::uint32_t* mask, const RowBlocks& blocks, int64_t row, int64_t c) {
  return gate_bit(mask + row / blocks.block_rows * block_words(blocks), row % blocks.block_rows * blocks.channels + c);
}

/// Whether ReLU lets row, c through in backward.
template <class Problem>
bool open_at(const Problem& p, const RowBlocks& blocks, int64_t row, int64_t c) {
  if (p.gate == Gate::none) return true;
  if (p.gate == Gate::from_bits) return bit_of(p.mask, blocks, row, c);
  // In T, as the forward pass computed it.
  return std::fma(p.x[row * p.x_stride + c], p.scale[c], p.shift[c]) > 0;
}

// ---- reference

template <class T>
void stats_reference(const BatchNormStats<T>& p) {
  Moments& m = *p.moments;
  for (int64_t c = 0; c < p.channels; ++c) {
    double mean = 0, m2 = 0;
    for (int64_t i = 0; i < p.rows; ++i) mean += static_cast<double>(p.x[i * p.x_stride + c]);
    if (p.rows > 0) mean /= static_cast<double>(p.rows);
    for (int64_t i = 0; i < p.rows; ++i) {
      const double d = static_cast<double>(p.x[i * p.x_stride + c]) - mean;
      m2 += d * d;
    }
    m.mean[static_cast<std::size_t>(c)] = mean;
    m.m2[static_cast<std::size_t>(c)] = m2;
  }
}

template <class T>
void apply_reference(const BatchNormApply<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  if (p.mask != nullptr) std::fill(p.mask, p.mask + batch_norm_mask_words(p.rows, p.channels), 0u);
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t c = 0; c < p.channels; ++c) {
      const int64_t at = i * p.channels + c;
      double v = static_cast<double>(p.x[i * p.x_stride + c]) * static_cast<double>(p.scale[c]) +
                 static_cast<double>(p.shift[c]);
      if (p.residual != nullptr) v += static_cast<double>(p.residual[at]);
      p.y[at] = static_cast<T>(p.relu && v <= 0 ? 0 : v);
      if (p.mask != nullptr && p.y[at] > 0) {
        const int64_t e = i % blocks.block_rows * p.channels + c;
        p.mask[i / blocks.block_rows * block_words(blocks) + e / 512 * 16 + e % 16] |= 1u << (e % 512 / 16);
      }
    }
}

template <class T>
void reduce_reference(const BatchNormReduce<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  for (int64_t c = 0; c < p.channels; ++c) {
    p.sum_g[c] = p.sum_gx[c] = 0;
    for (int64_t i = 0; i < p.rows; ++i) {
      if (!open_at(p, blocks, i, c)) continue;
      const auto g = static_cast<double>(p.gy[i * p.channels + c]);
      p.sum_g[c] += g;
      p.sum_gx[c] += g * (static_cast<double>(p.x[i * p.x_stride + c]) - static_cast<double>(p.mean[c]));
    }
  }
}

template <class T>
void backward_reference(const BatchNormBackward<T>& p) {
  const RowBlocks blocks(p.rows, p.channels);
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t c = 0; c < p.channels; ++c) {
      const int64_t at = i * p.channels + c;
      const double g = open_at(p, blocks, i, c) ? static_cast<double>(p.gy[at]) : 0;
      if (p.gx != nullptr) {
        T& gx = p.gx[i * p.gx_stride + c];
        const double distance = static_cast<double>(p.x[i * p.x_stride + c]) - static_cast<double>(p.mean[c]);
        gx = static_cast<T>((p.add ? static_cast<double>(gx) : 0.0) + static_cast<double>(p.a[c]) * g +
                            (static_cast<double>(p.b[c]) * distance + static_cast<double>(p.c[c])));
      }
      if (p.gres != nullptr) p.gres[at] = static_cast<T>(g);
    }
}

// ---- rows: vector code over blocks of rows

template <class T>
void stats_rows(const BatchNormStats<T>& p) {
  const bool joined = p.x_stride == p.channels;
  const RowBlocks blocks(p.rows, p.channels, kMomentRows, joined);
  std::vector<Moments> parts(static_cast<std::size_t>(blocks.chunks()));
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    BlockMoments<T> moments(p.channels, joined);
    blocks.each(chunk, p.rows, [&](int64_t, int64_t row, int64_t n) {
      moments.join(p.x + row * p.x_stride, p.x_stride, n, parts[static_cast<std::size_t>(chunk)]);
    });
  });
  *p.moments = combine_moments(parts, p.channels);
}

template <class T>
void apply_rows(const BatchNormApply<T>& p) {
  const RowBlocks blocks(p.rows, p.channels, 1, p.x_stride == p.channels);
  const std::vector<T> scale = blocks.repeated(p.scale), shift = blocks.repeated(p.shift);
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    blocks.each(chunk, p.rows, [&](int64_t block, int64_t row, int64_t n) {
      const int64_t at = row * p.channels, elements = n * p.channels;
      channel_rows<T>().apply(p.x + row * p.x_stride, blocks.repeat * p.x_stride,
                              p.residual != nullptr ? p.residual + at : nullptr, scale.data(), shift.data(), p.relu,
                              p.y + at, elements, blocks.width);
      if (p.mask != nullptr) channel_rows<T>().gate_bits(p.y + at, elements, p.mask + block * block_words(blocks));
    });
  });
}

/// What ReLU's gate needs besides gy: the repeated scale and shift, where x decides.
template <class T, class Problem>
struct GateOperands {
  std::vector<T> scale, shift;
  GateOperands(const Problem& p, const RowBlocks& blocks) {
    if (p.gate != Gate::from_x) return;
    scale = blocks.repeated(p.scale);
    shift = blocks.repeated(p.shift);
  }
};

/// A block's gy with the kept bits applied, in `scratch`; gy itself where no bits were kept.
template <class T, class Problem>
const T* by_bits(const Problem& p, const RowBlocks& blocks, int64_t block, int64_t at, int64_t elements, T* scratch) {
  if (p.gate != Gate::from_bits) return p.gy + at;
  channel_rows<T>().gate_by_bits(p.gy + at, p.mask + block * block_words(blocks), elements, scratch);
  return scratch;
}

template <class T>
void reduce_rows(const BatchNormReduce<T>& p) {
  const RowBlocks blocks(p.rows, p.channels, 1, p.x_stride == p.channels);
  const auto c_size = static_cast<std::size_t>(p.channels), width = static_cast<std::size_t>(blocks.width);
  const std::vector<T> mean = blocks.repeated(p.mean);
  const GateOperands<T, BatchNormReduce<T>> gate(p, blocks);
  std::vector<double> parts(2 * c_size * static_cast<std::size_t>(blocks.chunks()));  // per chunk: sum_g, sum_gx
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    double* sum_g = parts.data() + 2 * c_size * static_cast<std::size_t>(chunk);
    double* sum_gx = sum_g + c_size;
    const auto scratch = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(blocks.elements()) + 2 * width);
    T *s1 = scratch.get(), *s2 = s1 + width;
    blocks.each(chunk, p.rows, [&](int64_t block, int64_t row, int64_t n) {
      const int64_t at = row * p.channels, elements = n * p.channels;
      const T* g = by_bits(p, blocks, block, at, elements, s2 + width);
      channel_rows<T>().reduce(g, p.x + row * p.x_stride, blocks.repeat * p.x_stride, mean.data(), gate.scale.data(),
                               gate.shift.data(), p.gate == Gate::from_x, elements, blocks.width, s1, s2);
      for (std::size_t r = 0; r < width; r += c_size)
        for (std::size_t c = 0; c < c_size; ++c) {
          sum_g[c] += static_cast<double>(s1[r + c]);
          sum_gx[c] += static_cast<double>(s2[r + c]);
        }
    });
  });
  std::fill(p.sum_g, p.sum_g + p.channels, 0.0);
  std::fill(p.sum_gx, p.sum_gx + p.channels, 0.0);
  for (std::size_t chunk = 0; chunk < static_cast<std::size_t>(blocks.chunks()); ++chunk)
    for (std::size_t c = 0; c < c_size; ++c) {
      p.sum_g[c] += parts[2 * c_size * chunk + c];
      p.sum_gx[c] += parts[2 * c_size * chunk + c_size + c];
    }
}

template <class T>
void backward_rows(const BatchNormBackward<T>& p) {
  const bool joined = p.x_stride == p.channels && (p.gx == nullptr || p.gx_stride == p.channels);
  const RowBlocks blocks(p.rows, p.channels, 1, joined);
  const std::vector<T> mean = blocks.repeated(p.mean), a = blocks.repeated(p.a), b = blocks.repeated(p.b),
                       c = blocks.repeated(p.c);
  const GateOperands<T, BatchNormBackward<T>> gate(p, blocks);
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    const bool own = p.gres == nullptr && p.gate == Gate::from_bits;
    const auto scratch = std::make_unique_for_overwrite<T[]>(own ? static_cast<std::size_t>(blocks.elements()) : 1);
    blocks.each(chunk, p.rows, [&](int64_t block, int64_t row, int64_t n) {
      const int64_t at = row * p.channels, elements = n * p.channels;
      const T* x = p.x + row * p.x_stride;
      const int64_t x_step = blocks.repeat * p.x_stride;
      T* gres = p.gres != nullptr ? p.gres + at : nullptr;
      const T* g = by_bits(p, blocks, block, at, elements, own ? scratch.get() : gres);
      bool gate_here = p.gate == Gate::from_x;
      if (gres != nullptr && g != gres) {
        if (gate_here)
          channel_rows<T>().gate_by_x(g, x, x_step, gate.scale.data(), gate.shift.data(), elements, blocks.width, gres);
        else
          std::copy(g, g + elements, gres);
        g = gres;
        gate_here = false;
      }
      if (p.gx != nullptr)
        channel_rows<T>().combine(g, x, x_step, mean.data(), gate.scale.data(), gate.shift.data(), gate_here, a.data(),
                                  b.data(), c.data(), p.add, p.gx + row * p.gx_stride, blocks.repeat * p.gx_stride,
                                  elements, blocks.width);
    });
  });
}

}  // namespace

template <class T>
ScaleShift batch_norm_scale_shift(int64_t channels, const double* mean, const double* inv_std, const T* weight,
                                  const T* bias) {
  ScaleShift s;
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = (weight != nullptr ? static_cast<double>(weight[c]) : 1.0) * inv_std[c];
    s.scale.push_back(scale);
    s.shift.push_back((bias != nullptr ? static_cast<double>(bias[c]) : 0.0) - mean[c] * scale);
  }
  return s;
}

template <class T>
const Candidates<BatchNormStats<T>>& batch_norm_stats_candidates() {
  static const Candidates<BatchNormStats<T>> all(
      "batch_norm.stats",
      {{"rows", "vectors along channels, moments of a block of rows about its first row, merged in double", always,
        stats_rows<T>},
       {"reference", "two passes in double, one channel at a time", always, stats_reference<T>}});
  return all;
}
template <class T>
const Candidates<BatchNormApply<T>>& batch_norm_apply_candidates() {
  static const Candidates<BatchNormApply<T>> all(
      "batch_norm.apply", {{"rows", "vectors along channels; bound by memory", always, apply_rows<T>},
                           {"reference", "one element at a time, in double", always, apply_reference<T>}});
  return all;
}
template <class T>
const Candidates<BatchNormReduce<T>>& batch_norm_reduce_candidates() {
  static const Candidates<BatchNormReduce<T>> all(
      "batch_norm.backward_reduce",
      {{"rows", "vectors along channels, sums of a block in T, of blocks in double", always, reduce_rows<T>},
       {"reference", "one channel at a time, in double", always, reduce_reference<T>}});
  return all;
}
template <class T>
const Candidates<BatchNormBackward<T>>& batch_norm_backward_candidates() {
  static const Candidates<BatchNormBackward<T>> all(
      "batch_norm.backward_apply", {{"rows", "vectors along channels; bound by memory", always, backward_rows<T>},
                                    {"reference", "one element at a time, in double", always, backward_reference<T>}});
  return all;
}

template <class T>
Moments batch_norm_stats(const T* x, int64_t rows, int64_t channels, int64_t x_stride) {
  Moments m{rows, std::vector<double>(static_cast<std::size_t>(channels)),
            std::vector<double>(static_cast<std::size_t>(channels))};
  batch_norm_stats_candidates<T>().run({rows, channels, x_stride, x, &m});
  return m;
}
template <class T>
void batch_norm_apply(const BatchNormApply<T>& p) {
  batch_norm_apply_candidates<T>().run(p);
}
template <class T>
void batch_norm_backward_reduce(const BatchNormReduce<T>& p) {
  batch_norm_reduce_candidates<T>().run(p);
}
template <class T>
void batch_norm_backward_apply(const BatchNormBackward<T>& p) {
  batch_norm_backward_candidates<T>().run(p);
}

int64_t batch_norm_mask_words(int64_t rows, int64_t channels) {
  const RowBlocks blocks(rows, channels);
  return blocks.count * block_words(blocks);
}

template <class T>
void batch_norm_expand_mask(const std::uint32_t* mask, int64_t rows, int64_t channels, T* open) {
  const RowBlocks blocks(rows, channels);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t c = 0; c < channels; ++c) open[i * channels + c] = bit_of(mask, blocks, i, c) ? T(1) : T(0);
}

#define GRADUS_INSTANTIATE(T)                                                                            \
  template ScaleShift batch_norm_scale_shift(int64_t, const double*, const double*, const T*, const T*); \
  template Moments batch_norm_stats(const T*, int64_t, int64_t, int64_t);                                \
  template void batch_norm_apply(const BatchNormApply<T>&);                                              \
  template void batch_norm_backward_reduce(const BatchNormReduce<T>&);                                   \
  template void batch_norm_backward_apply(const BatchNormBackward<T>&);                                  \
  template void batch_norm_expand_mask(const std::uint32_t*, int64_t, int64_t, T*);                      \
  template const Candidates<BatchNormStats<T>>& batch_norm_stats_candidates();                           \
  template const Candidates<BatchNormApply<T>>& batch_norm_apply_candidates();                           \
  template const Candidates<BatchNormReduce<T>>& batch_norm_reduce_candidates();                         \
  template const Candidates<BatchNormBackward<T>>& batch_norm_backward_candidates();
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus
