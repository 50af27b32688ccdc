#pragma once
// Kernels of batch normalisation on plain pointers: x is dense [rows, channels], which is what a channels-last
// [N,C,H,W] is with rows = N*H*W. T is float or double. Per-channel numbers that are few are kept in double.
//
// The four steps are separate so that others can take over a part:
//  - statistics may come from the convolution that produces x: it hands its per-task moments to combine_moments();
//  - batch_norm_apply may be skipped if the reader of y applies scale, shift and ReLU as it loads x;
//  - in backward, batch_norm_backward_reduce may run where gy is produced.
//
// Bound by memory. Traffic in units of x: statistics read 1; apply read 1, write 1 (+ read 1 with a residual);
// backward-reduce read 2; backward-apply read 2, write 1 (+ write 1 for a residual's gradient).

#include <cstdint>
#include <vector>

#include "core/isa.hpp"
#include "ops/candidates.hpp"

namespace gradus {

/// Per channel: how many values, their mean, and the sum of squared distances from it.
struct Moments {
  std::int64_t count = 0;
  std::vector<double> mean, m2;
};

/// The moments of the union: the one place where statistics from several sources (chunks of rows, a convolution's
/// tasks, the ranks of a data-parallel run) become one (Chan, Golub and LeVeque 1979). Always in the order given.
Moments combine_moments(const std::vector<Moments>& parts, std::int64_t channels);

/// y = x * scale + shift, what a batch norm is once its statistics are known.
struct ScaleShift {
  std::vector<double> scale, shift;
};
/// scale = weight / sqrt(var + eps), shift = bias - mean * scale. A null weight is 1, a null bias 0.
template <class T>
ScaleShift batch_norm_scale_shift(std::int64_t channels, const double* mean, const double* inv_std, const T* weight,
                                  const T* bias);

/// Moments of x's columns.
template <class T>
Moments batch_norm_stats(const T* x, std::int64_t rows, std::int64_t channels);

/// y = act(x * scale + shift + residual). residual may be null; mask, if not null, receives y > 0 as mask_words()
/// words.
template <class T>
struct BatchNormApply {
  std::int64_t rows, channels;
  const T* x;
  const T* residual;
  const T* scale;  // [channels]
  const T* shift;
  bool relu;
  T* y;
  std::uint32_t* mask;
};
template <class T>
void batch_norm_apply(const BatchNormApply<T>& p);

/// Where ReLU's gate comes from in backward.
enum class Gate { none, from_x, from_mask };  // no ReLU; x * scale + shift > 0; the bits that apply wrote

/// With g = gy where the gate is open and 0 elsewhere, per channel: sum of g, and sum of g * (x - mean).
template <class T>
struct BatchNormReduce {
  std::int64_t rows, channels;
  const T* x;
  const T* gy;
  Gate gate;
  const T* scale;  // for from_x
  const T* shift;
  const std::uint32_t* mask;  // for from_mask
  const T* mean;
  double* sum_g;  // [channels], written
  double* sum_gx;
};
template <class T>
void batch_norm_backward_reduce(const BatchNormReduce<T>& p);

/// gx = a * g + b * (x - mean) + c per channel, and g itself. gx or gres may be gy, element by element; each may be
/// null.
template <class T>
struct BatchNormBackward {
  std::int64_t rows, channels;
  const T* x;
  const T* gy;
  Gate gate;
  const T* scale;
  const T* shift;
  const std::uint32_t* mask;
  const T* mean;
  const T* a;  // [channels]
  const T* b;
  const T* c;
  T* gx;
  T* gres;
};
template <class T>
void batch_norm_backward_apply(const BatchNormBackward<T>& p);

/// 32-bit words of a mask of rows x channels elements.
std::int64_t mask_words(std::int64_t rows, std::int64_t channels);
/// The mask as T, 1 or 0, [rows, channels].
template <class T>
void expand_mask(const std::uint32_t* mask, std::int64_t rows, std::int64_t channels, T* open);

// The choices (ops/candidates.hpp): `reference`, plain loops in double, and `rows`, vector code over blocks of rows.
template <class T>
struct BatchNormStats {
  std::int64_t rows, channels;
  const T* x;
  Moments* moments;
};
template <class T>
const Candidates<BatchNormStats<T>>& batch_norm_stats_candidates();
template <class T>
const Candidates<BatchNormApply<T>>& batch_norm_apply_candidates();
template <class T>
const Candidates<BatchNormReduce<T>>& batch_norm_reduce_candidates();
template <class T>
const Candidates<BatchNormBackward<T>>& batch_norm_backward_candidates();

// ---- The vector code, one chunk of rows at a time. `n` counts elements, a multiple of the number of channels; `width`
// is the number of elements after which the channels repeat, and per-channel vectors hold `width` entries.

template <class T>
struct BatchNormRows {
  /// Adds up x - shift and its square per position into s1 and s2 (both [width], overwritten).
  void (*moments)(const T* x, std::int64_t n, std::int64_t width, const T* shift, T* s1, T* s2);
  void (*apply)(const T* x, const T* residual, const T* scale, const T* shift, bool relu, T* y, std::int64_t n,
                std::int64_t width);
  /// Bits y > 0 of n elements.
  void (*mask)(const T* y, std::int64_t n, std::uint32_t* mask);
  /// g = gy where the mask's bit is set, else 0. g may be gy.
  void (*gate_mask)(const T* gy, const std::uint32_t* mask, std::int64_t n, T* g);
  /// g = gy where x * scale + shift > 0, else 0.
  void (*gate_x)(const T* gy, const T* x, const T* scale, const T* shift, std::int64_t n, std::int64_t width, T* g);
  /// Sums of g and of g * (x - mean) per position into s1 and s2 (both [width], overwritten).
  void (*reduce)(const T* g, const T* x, const T* mean, std::int64_t n, std::int64_t width, T* s1, T* s2);
  void (*backward)(const T* g, const T* x, const T* mean, const T* a, const T* b, const T* c, T* gx, std::int64_t n,
                   std::int64_t width);
};
struct BatchNormSimd {
  BatchNormRows<float> f32;
  BatchNormRows<double> f64;
};
GRADUS_ISA_TABLE(BatchNormSimd, batch_norm_simd)

}  // namespace gradus
