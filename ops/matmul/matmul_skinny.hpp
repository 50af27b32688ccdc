#pragma once
// Matrix products of which one side is a batch of a few rows: a classifier's layers. Bound by memory, for the large
// matrix is used a few times only; so it is read (or written) once, where it lies, while BLAS would first copy it into
// panels (and clear the result before adding to it). f32.

#include <cstdint>

#include "core/isa.hpp"

namespace gradus {

/// Rows of the few are at most so many (for dot, its dot_rows): beyond them arithmetic costs more than the bytes, and
/// BLAS is at home.
inline constexpr std::int64_t kSkinnyRows = 16;

struct MatmulSkinnySimd {
  std::int64_t dot_rows;  // of the few, for dot: with 32 registers it is ahead of BLAS for longer
  /// y[i, j] = bias[j] + sum over l < depth of a[i, l] b[j, l], for i < rows, j in [begin, end). a and b have rows of
  /// unit stride, a_row and b_row apart; y's rows lie y_row apart. bias may be null.
  void (*dot)(const float* a, std::int64_t a_row, const float* b, std::int64_t b_row, const float* bias, float* y,
              std::int64_t y_row, std::int64_t rows, std::int64_t depth, std::int64_t begin, std::int64_t end);
  /// y[i, j] = bias[j] + sum over l < depth of a[i, l] b[l, j], for i < rows (few), depth large, j in [begin, end), of
  /// which there are kSkinnyColumns at most. a of any strides; b's and y's rows have unit stride.
  void (*gather)(const float* a, std::int64_t a_row, std::int64_t a_column, const float* b, std::int64_t b_row,
                 const float* bias, float* y, std::int64_t y_row, std::int64_t rows, std::int64_t depth,
                 std::int64_t begin, std::int64_t end);
  /// The same for rows i in [first, last), of many, and small depth: outer products, y written once and past the
  /// caches.
  void (*outer)(const float* a, std::int64_t a_row, std::int64_t a_column, const float* b, std::int64_t b_row, float* y,
                std::int64_t y_row, std::int64_t depth, std::int64_t columns, std::int64_t first, std::int64_t last);
};
GRADUS_ISA_TABLE(MatmulSkinnySimd, matmul_skinny_simd)

/// Columns that `gather` takes at a time: its sums stay in L2, and of each row of b it reads 4 KiB together.
inline constexpr std::int64_t kSkinnyColumns = 1024;
/// Rows that `outer` takes at most.
inline constexpr std::int64_t kSkinnyOuterRows = 480;

}  // namespace gradus
