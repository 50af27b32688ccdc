#pragma once
// Mean and spread of each channel over rows [rows, channels]: what a batch norm in training starts with. Whoever has
// the rows near can take them: the convolution that wrote them, or the layer of a dense block that read most of them.
// They then travel beside the rows' storage, and one pass over memory is less.

#include <cstdint>
#include <memory>
#include <vector>

#include "core/tensor.hpp"
#include "ops/channel_rows/channel_rows.hpp"

namespace gradus {

/// Per channel: how many values, their mean, and the sum of squared distances from it.
struct Moments {
  std::int64_t count = 0;
  std::vector<double> mean, m2;
};

/// The moments of the union: the one place where statistics from several sources (chunks of rows, a convolution's
/// tasks, the ranks of a data-parallel run) become one (Chan, Golub and LeVeque 1979). Always in the order given.
Moments combine_moments(const std::vector<Moments>& parts, std::int64_t channels);

/// Takes the moments of blocks of rows, T float or double, of at most some hundred rows: sums of a block are in T.
template <class T>
class BlockMoments {
 public:
  /// `joined`: rows follow each other without gaps.
  BlockMoments(std::int64_t channels, bool joined);
  /// Of `rows` rows, x_stride elements apart: joined to those of `count` rows in mean and m2, [channels].
  void join(const T* x, std::int64_t x_stride, std::int64_t rows, double* mean, double* m2, std::int64_t count);
  void join(const T* x, std::int64_t x_stride, std::int64_t rows, Moments& total);

 private:
  RowBlocks blocks_;
  std::vector<T> scratch_;
};

/// The moments of a tensor's first channels, kept with its storage.
struct KeptMoments final : Derived {
  std::uint64_t version = 0;    // of the storage
  const void* first = nullptr;  // element
  DType dtype = DType::f32;
  std::int64_t stride = 0;  // elements from one row to the next
  Moments moments;
};
/// Keeps them with x, whose rows are `stride` elements apart.
void keep_moments(const Tensor& x, std::int64_t stride, Moments moments);
/// Those that were kept of x, or of its first channels; null where there are none, or x was written since.
std::shared_ptr<KeptMoments> kept_moments(const Tensor& x, std::int64_t rows, std::int64_t stride);

}  // namespace gradus
