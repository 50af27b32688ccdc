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

/// How [rows, channels] is cut. Depends on the problem alone.
struct Blocks {
  int64_t channels;
  int64_t repeat;      // rows after which a vector of per-channel numbers starts again
  int64_t width;       // repeat * channels
  int64_t block_rows;  // rows that are summed in T before the sum goes to double; a multiple of repeat
  int64_t count;       // blocks

  static constexpr int64_t kWidth = 128;       // at least so many elements to an inner loop
  static constexpr int64_t kElements = 16384;  // of a block: operands and scratch stay in L2
  static constexpr int64_t kPerChunk = 4;      // blocks to a chunk of parallel_for

  Blocks(int64_t rows, int64_t c, int64_t min_rows) : channels(c), repeat(1) {
    if (c < kWidth) {
      repeat = 16 / std::gcd(c, int64_t{16});  // whole vectors, up to 16 lanes
      repeat *= (kWidth + c * repeat - 1) / (c * repeat);
    }
    width = repeat * c;
    block_rows = std::max(min_rows, kElements / c) / repeat * repeat;
    block_rows = std::max(block_rows, repeat);
    count = (rows + block_rows - 1) / block_rows;
  }
  int64_t chunks() const { return (count + kPerChunk - 1) / kPerChunk; }

  /// fn(block, first row, number of rows) for the blocks of a chunk.
  template <class Fn>
  void each(int64_t chunk, int64_t rows, Fn&& fn) const {
    for (int64_t b = chunk * kPerChunk; b < std::min(count, (chunk + 1) * kPerChunk); ++b)
      fn(b, b * block_rows, std::min(block_rows, rows - b * block_rows));
  }
  template <class T>
  std::vector<T> repeated(const T* per_channel) const {
    std::vector<T> all(static_cast<std::size_t>(width));
    for (int64_t j = 0; j < width; ++j) all[static_cast<std::size_t>(j)] = per_channel[j % channels];
    return all;
  }
  int64_t mask_words() const { return (block_rows * channels + 511) / 512 * 16; }  // of a block
};

constexpr int64_t kMomentRows = 64;  // merging a block's moments costs ten operations a channel: spread over 64 rows
constexpr int64_t kRows = 1;

template <class T>
const BatchNormRows<T>& simd() {
  if constexpr (std::is_same_v<T, float>)
    return batch_norm_simd().f32;
  else
    return batch_norm_simd().f64;
}

bool bit_of(const std::uint32_t* mask, const Blocks& blocks, int64_t row, int64_t c) {
  const int64_t block = row / blocks.block_rows, e = row % blocks.block_rows * blocks.channels + c;
  return (mask[block * blocks.mask_words() + e / 512 * 16 + e % 16] >> (e % 512 / 16) & 1) != 0;
}

/// Whether ReLU lets row, c through in backward.
template <class Problem>
bool open_at(const Problem& p, const Blocks& blocks, int64_t row, int64_t c) {
  if (p.gate == Gate::none) return true;
  if (p.gate == Gate::from_mask) return bit_of(p.mask, blocks, row, c);
  // In T, as the forward pass computed it.
  return std::fma(p.x[row * p.channels + c], p.scale[c], p.shift[c]) > 0;
}

// ---- reference

template <class T>
void stats_reference(const BatchNormStats<T>& p) {
  Moments& m = *p.moments;
  for (int64_t c = 0; c < p.channels; ++c) {
    double mean = 0, m2 = 0;
    for (int64_t i = 0; i < p.rows; ++i) mean += static_cast<double>(p.x[i * p.channels + c]);
    if (p.rows > 0) mean /= static_cast<double>(p.rows);
    for (int64_t i = 0; i < p.rows; ++i) {
      const double d = static_cast<double>(p.x[i * p.channels + c]) - mean;
      m2 += d * d;
    }
    m.mean[static_cast<std::size_t>(c)] = mean;
    m.m2[static_cast<std::size_t>(c)] = m2;
  }
}

template <class T>
void apply_reference(const BatchNormApply<T>& p) {
  const Blocks blocks(p.rows, p.channels, kRows);
  if (p.mask != nullptr) std::fill(p.mask, p.mask + mask_words(p.rows, p.channels), 0u);
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t c = 0; c < p.channels; ++c) {
      const int64_t at = i * p.channels + c;
      double v = static_cast<double>(p.x[at]) * static_cast<double>(p.scale[c]) + static_cast<double>(p.shift[c]);
      if (p.residual != nullptr) v += static_cast<double>(p.residual[at]);
      p.y[at] = static_cast<T>(p.relu && v <= 0 ? 0 : v);
      if (p.mask != nullptr && p.y[at] > 0) {
        const int64_t e = i % blocks.block_rows * p.channels + c;
        p.mask[i / blocks.block_rows * blocks.mask_words() + e / 512 * 16 + e % 16] |= 1u << (e % 512 / 16);
      }
    }
}

template <class T>
void reduce_reference(const BatchNormReduce<T>& p) {
  const Blocks blocks(p.rows, p.channels, kRows);
  for (int64_t c = 0; c < p.channels; ++c) {
    p.sum_g[c] = p.sum_gx[c] = 0;
    for (int64_t i = 0; i < p.rows; ++i) {
      if (!open_at(p, blocks, i, c)) continue;
      const int64_t at = i * p.channels + c;
      p.sum_g[c] += static_cast<double>(p.gy[at]);
      p.sum_gx[c] += static_cast<double>(p.gy[at]) * (static_cast<double>(p.x[at]) - static_cast<double>(p.mean[c]));
    }
  }
}

template <class T>
void backward_reference(const BatchNormBackward<T>& p) {
  const Blocks blocks(p.rows, p.channels, kRows);
  for (int64_t i = 0; i < p.rows; ++i)
    for (int64_t c = 0; c < p.channels; ++c) {
      const int64_t at = i * p.channels + c;
      const double g = open_at(p, blocks, i, c) ? static_cast<double>(p.gy[at]) : 0;
      if (p.gx != nullptr)
        p.gx[at] = static_cast<T>(
            static_cast<double>(p.a[c]) * g +
            (static_cast<double>(p.b[c]) * (static_cast<double>(p.x[at]) - static_cast<double>(p.mean[c])) +
             static_cast<double>(p.c[c])));
      if (p.gres != nullptr) p.gres[at] = static_cast<T>(g);
    }
}

// ---- rows: vector code over blocks of rows

/// `part` joins `into`, per channel (Chan, Golub and LeVeque 1979, equation 1.5).
void merge(double* mean, double* m2, double count, const double* part_mean, const double* part_m2, double part_count,
           int64_t channels) {
  const double total = count + part_count, share = part_count / total, weight = count * share;
  for (int64_t c = 0; c < channels; ++c) {
    const double delta = part_mean[c] - mean[c];
    mean[c] += delta * share;
    m2[c] += part_m2[c] + delta * delta * weight;
  }
}

template <class T>
void stats_rows(const BatchNormStats<T>& p) {
  const Blocks blocks(p.rows, p.channels, kMomentRows);
  const auto c_size = static_cast<std::size_t>(p.channels), width = static_cast<std::size_t>(blocks.width);
  std::vector<Moments> parts(static_cast<std::size_t>(blocks.chunks()));
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    Moments& total = parts[static_cast<std::size_t>(chunk)];
    total.mean.resize(c_size);
    total.m2.resize(c_size);
    std::vector<T> scratch(3 * width);
    std::vector<double> mean(c_size), m2(c_size);
    T *shift = scratch.data(), *s1 = shift + width, *s2 = s1 + width;
    blocks.each(chunk, p.rows, [&](int64_t, int64_t row, int64_t n) {
      const T* x = p.x + row * p.channels;
      // Distances from the block's first row: small numbers, so that nothing cancels where the mean is far from 0.
      for (std::size_t j = 0; j < width; ++j) shift[j] = x[j % c_size];
      simd<T>().moments(x, n * p.channels, blocks.width, shift, s1, s2);
      for (std::size_t c = 0; c < c_size; ++c) {
        double sum = 0, squares = 0;
        for (std::size_t j = c; j < width; j += c_size) {
          sum += static_cast<double>(s1[j]);
          squares += static_cast<double>(s2[j]);
        }
        const double d = sum / static_cast<double>(n);
        mean[c] = static_cast<double>(shift[c]) + d;
        m2[c] = std::max(0.0, squares - sum * d);
      }
      merge(total.mean.data(), total.m2.data(), static_cast<double>(total.count), mean.data(), m2.data(),
            static_cast<double>(n), p.channels);
      total.count += n;
    });
  });
  *p.moments = combine_moments(parts, p.channels);
}

template <class T>
void apply_rows(const BatchNormApply<T>& p) {
  const Blocks blocks(p.rows, p.channels, kRows);
  const std::vector<T> scale = blocks.repeated(p.scale), shift = blocks.repeated(p.shift);
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    blocks.each(chunk, p.rows, [&](int64_t block, int64_t row, int64_t n) {
      const int64_t at = row * p.channels, elements = n * p.channels;
      simd<T>().apply(p.x + at, p.residual != nullptr ? p.residual + at : nullptr, scale.data(), shift.data(), p.relu,
                      p.y + at, elements, blocks.width);
      if (p.mask != nullptr) simd<T>().mask(p.y + at, elements, p.mask + block * blocks.mask_words());
    });
  });
}

/// gy with ReLU's gate applied, for one block: gy itself if there is no gate, else `scratch`.
template <class T, class Problem>
const T* gated(const Problem& p, const Blocks& blocks, int64_t block, int64_t row, int64_t n, const T* scale,
               const T* shift, T* scratch) {
  const int64_t at = row * p.channels, elements = n * p.channels;
  switch (p.gate) {
    case Gate::none:
      return p.gy + at;
    case Gate::from_mask:
      simd<T>().gate_mask(p.gy + at, p.mask + block * blocks.mask_words(), elements, scratch);
      return scratch;
    case Gate::from_x:
      simd<T>().gate_x(p.gy + at, p.x + at, scale, shift, elements, blocks.width, scratch);
  }
  return scratch;
}

template <class T>
void reduce_rows(const BatchNormReduce<T>& p) {
  const Blocks blocks(p.rows, p.channels, kRows);
  const auto c_size = static_cast<std::size_t>(p.channels), width = static_cast<std::size_t>(blocks.width);
  const std::vector<T> mean = blocks.repeated(p.mean);
  const bool from_x = p.gate == Gate::from_x;
  const std::vector<T> scale = from_x ? blocks.repeated(p.scale) : std::vector<T>{};
  const std::vector<T> shift = from_x ? blocks.repeated(p.shift) : std::vector<T>{};
  std::vector<double> parts(2 * c_size * static_cast<std::size_t>(blocks.chunks()));  // per chunk: sum_g, sum_gx
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    double* sum_g = parts.data() + 2 * c_size * static_cast<std::size_t>(chunk);
    double* sum_gx = sum_g + c_size;
    const auto scratch =
        std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(blocks.block_rows * p.channels) + 2 * width);
    T *s1 = scratch.get(), *s2 = s1 + width;
    blocks.each(chunk, p.rows, [&](int64_t block, int64_t row, int64_t n) {
      const T* g = gated(p, blocks, block, row, n, scale.data(), shift.data(), s2 + width);
      simd<T>().reduce(g, p.x + row * p.channels, mean.data(), n * p.channels, blocks.width, s1, s2);
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
  const Blocks blocks(p.rows, p.channels, kRows);
  const std::vector<T> mean = blocks.repeated(p.mean), a = blocks.repeated(p.a), b = blocks.repeated(p.b),
                       c = blocks.repeated(p.c);
  const bool from_x = p.gate == Gate::from_x;
  const std::vector<T> scale = from_x ? blocks.repeated(p.scale) : std::vector<T>{};
  const std::vector<T> shift = from_x ? blocks.repeated(p.shift) : std::vector<T>{};
  parallel_for(blocks.chunks(), [&](int64_t chunk) {
    const auto scratch = std::make_unique_for_overwrite<T[]>(
        p.gres == nullptr && p.gate != Gate::none ? static_cast<std::size_t>(blocks.block_rows * p.channels) : 1);
    blocks.each(chunk, p.rows, [&](int64_t block, int64_t row, int64_t n) {
      const int64_t at = row * p.channels, elements = n * p.channels;
      T* into = p.gres != nullptr ? p.gres + at : scratch.get();
      const T* g = gated(p, blocks, block, row, n, scale.data(), shift.data(), into);
      if (p.gres != nullptr && g != into) std::copy(g, g + elements, into);
      if (p.gx != nullptr)
        simd<T>().backward(g, p.x + at, mean.data(), a.data(), b.data(), c.data(), p.gx + at, elements, blocks.width);
    });
  });
}

}  // namespace

Moments combine_moments(const std::vector<Moments>& parts, int64_t channels) {
  Moments total;
  total.mean.resize(static_cast<std::size_t>(channels));
  total.m2.resize(static_cast<std::size_t>(channels));
  for (const Moments& part : parts) {
    if (part.count == 0) continue;
    merge(total.mean.data(), total.m2.data(), static_cast<double>(total.count), part.mean.data(), part.m2.data(),
          static_cast<double>(part.count), channels);
    total.count += part.count;
  }
  return total;
}

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
Moments batch_norm_stats(const T* x, int64_t rows, int64_t channels) {
  Moments m{rows, std::vector<double>(static_cast<std::size_t>(channels)),
            std::vector<double>(static_cast<std::size_t>(channels))};
  batch_norm_stats_candidates<T>().run({rows, channels, x, &m});
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

int64_t mask_words(int64_t rows, int64_t channels) {
  const Blocks blocks(rows, channels, kRows);
  return blocks.count * blocks.mask_words();
}

template <class T>
void expand_mask(const std::uint32_t* mask, int64_t rows, int64_t channels, T* open) {
  const Blocks blocks(rows, channels, kRows);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t c = 0; c < channels; ++c) open[i * channels + c] = bit_of(mask, blocks, i, c) ? T(1) : T(0);
}

#define GRADUS_INSTANTIATE(T)                                                                            \
  template ScaleShift batch_norm_scale_shift(int64_t, const double*, const double*, const T*, const T*); \
  template Moments batch_norm_stats(const T*, int64_t, int64_t);                                         \
  template void batch_norm_apply(const BatchNormApply<T>&);                                              \
  template void batch_norm_backward_reduce(const BatchNormReduce<T>&);                                   \
  template void batch_norm_backward_apply(const BatchNormBackward<T>&);                                  \
  template void expand_mask(const std::uint32_t*, int64_t, int64_t, T*);                                 \
  template const Candidates<BatchNormStats<T>>& batch_norm_stats_candidates();                           \
  template const Candidates<BatchNormApply<T>>& batch_norm_apply_candidates();                           \
  template const Candidates<BatchNormReduce<T>>& batch_norm_reduce_candidates();                         \
  template const Candidates<BatchNormBackward<T>>& batch_norm_backward_candidates();
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
#undef GRADUS_INSTANTIATE

}  // namespace gradus
