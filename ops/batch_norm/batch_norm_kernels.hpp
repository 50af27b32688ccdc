#pragma once
// Kernels of batch normalisation on plain pointers: matrices are dense [rows, channels], which is what a channels-last
// [N,C,H,W] is with rows = N*H*W. On the CPU x and gx may have longer rows, x_stride and gx_stride elements apart: the
// first channels of a dense block (not where a mask is kept). T is float or double, on CUDA also bf16, whose
// per-channel numbers (Compute<T>) are f32. Statistics and sums are kept in double.
//
// The four steps are separate so that others can take over a part:
//  - statistics may come from the convolution that produces x (ops/channel_rows/moments.hpp);
//  - batch_norm_apply may be skipped if the reader of y applies scale, shift and ReLU as it loads x;
//  - in backward, batch_norm_backward_reduce may run where gy is produced.
//
// Bound by memory. Traffic in units of x: statistics read 1; apply read 1, write 1 (+ read 1 with a residual);
// backward-reduce read 2; backward-apply read 2, write 1 (+ write 1 for a residual's gradient).

#include <cstdint>
#include <vector>

#include "core/number.hpp"
#include "ops/candidates.hpp"
#include "ops/channel_rows/channel_rows.hpp"
#include "ops/channel_rows/moments.hpp"

namespace gradus {

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
Moments batch_norm_stats(const T* x, std::int64_t rows, std::int64_t channels, std::int64_t x_stride);

/// y = act(x * scale + shift + residual). residual may be null; mask, if not null, receives y > 0 as
/// batch_norm_mask_words() words.
template <class T>
struct BatchNormApply {
  std::int64_t rows, channels, x_stride;
  const T* x;
  const T* residual;
  const Compute<T>* scale;  // [channels]
  const Compute<T>* shift;
  bool relu;
  T* y;
  std::uint32_t* mask;
};
template <class T>
void batch_norm_apply(const BatchNormApply<T>& p);

/// With g = gy where the gate is open and 0 elsewhere, per channel: sum of g, and sum of g * (x - mean).
template <class T>
struct BatchNormReduce {
  std::int64_t rows, channels, x_stride;
  const T* x;
  const T* gy;
  Gate gate;
  const T* scale;  // for from_x
  const T* shift;
  const std::uint32_t* mask;  // for from_bits
  const T* mean;
  double* sum_g;  // [channels], written
  double* sum_gx;
};
template <class T>
void batch_norm_backward_reduce(const BatchNormReduce<T>& p);

/// gx = a * g + b * (x - mean) + c per channel, or gx += that, and g itself. gx or gres may be gy, element by element;
/// each may be null.
template <class T>
struct BatchNormBackward {
  std::int64_t rows, channels, x_stride;
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
  bool add;  // to what gx holds
  T* gx;
  std::int64_t gx_stride;
  T* gres;
};
template <class T>
void batch_norm_backward_apply(const BatchNormBackward<T>& p);

/// 32-bit words of a mask of rows x channels elements.
std::int64_t batch_norm_mask_words(std::int64_t rows, std::int64_t channels);
/// The mask as T, 1 or 0, [rows, channels].
template <class T>
void batch_norm_expand_mask(const std::uint32_t* mask, std::int64_t rows, std::int64_t channels, T* open);

// The choices (ops/candidates.hpp): `reference`, plain loops in double, and `rows`, vector code over blocks of rows.
template <class T>
struct BatchNormStats {
  std::int64_t rows, channels, x_stride;
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

namespace cuda {
// On CUDA a whole pass is one problem: what is few per channel stays on the device between its steps. The mask's bits
// lie in plain order, element e as bit e % 32 of word e / 32; they need fewer words than on the CPU.

/// y, and everything that backward keeps. In training the running statistics follow if they are given; outside training
/// they are read.
template <class T>
struct BatchNormForward {
  std::int64_t rows, channels;
  bool training, relu;
  double momentum, eps;
  const T *x, *residual;  // a null operand is none
  const Compute<T>*weight, *bias;
  Compute<T>*running_mean, *running_var;  // null: not tracked
  std::int64_t running_mean_step, running_var_step;
  T* y;
  std::uint32_t* mask;       // or null
  double *mean, *inv_std;    // [channels], written
  Compute<T>*scale, *shift;  // [channels], written
};
/// All gradients that are wanted; the others are null. gx or gres may be gy.
template <class T>
struct BatchNormGradient {
  std::int64_t rows, channels;
  bool training;
  double eps;
  Gate gate;
  const T *x, *gy;
  const Compute<T>*scale, *shift;
  const std::uint32_t* mask;
  const double *mean, *inv_std;
  Compute<T>*gweight, *gbias;
  T *gx, *gres;
};
template <class T>
const Candidates<BatchNormForward<T>>& batch_norm();
template <class T>
const Candidates<BatchNormGradient<T>>& batch_norm_backward();
template <class T>
void batch_norm_apply(const BatchNormApply<T>& p);
template <class T>
void batch_norm_expand_mask(const std::uint32_t* mask, std::int64_t elements, T* open);
}  // namespace cuda

}  // namespace gradus
