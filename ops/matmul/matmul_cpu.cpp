// Matrix products on the CPU.
//   reference  three loops, adding in f64
//   skinny     one side is a batch of few rows: the large matrix is read or written once; bound by memory
//   blas       OpenBLAS on tiles of y, or on several matrices of the batch, in parallel; bound by arithmetic

#include "core/blas.hpp"
#include "core/parallel.hpp"
#include "ops/matmul/matmul_kernels.hpp"
#include "ops/matmul/matmul_skinny.hpp"

namespace gradus {

bool blas_reads(std::int64_t rows, std::int64_t columns, std::int64_t row_stride, std::int64_t column_stride) {
  const bool by_rows = (column_stride == 1 || columns <= 1) && (row_stride >= columns || rows <= 1);
  const bool by_columns = (row_stride == 1 || rows <= 1) && (column_stride >= rows || columns <= 1);
  return by_rows || by_columns;
}

namespace cpu {
namespace {

/// Element offsets of matrix i of the batch.
struct Offsets {
  std::int64_t a = 0, b = 0, y = 0;
};
Offsets matrix(const MatmulProblem& p, std::int64_t i) {
  Offsets at;
  for (int d = p.batch.size() - 1; d >= 0; --d) {
    const std::int64_t j = i % p.batch[d];
    i /= p.batch[d];
    at.a += j * p.a_batch[d];
    at.b += j * p.b_batch[d];
    at.y += j * p.y_batch[d];
  }
  return at;
}

void reference(const MatmulProblem& p) {
  dispatch_float("matmul", p.dtype, [&]<class T>(T) {
    for (std::int64_t i = 0; i < numel(p.batch); ++i) {
      const Offsets at = matrix(p, i);
      const T* a = static_cast<const T*>(p.a) + at.a;
      const T* b = static_cast<const T*>(p.b) + at.b;
      T* y = static_cast<T*>(p.y) + at.y;
      for (std::int64_t row = 0; row < p.m; ++row)
        for (std::int64_t column = 0; column < p.n; ++column) {
          double total = p.bias ? static_cast<double>(static_cast<const T*>(p.bias)[column]) : 0;
          for (std::int64_t j = 0; j < p.k; ++j)
            total += static_cast<double>(a[row * p.a_row + j * p.a_column]) *
                     static_cast<double>(b[j * p.b_row + column * p.b_column]);
          y[row * p.n + column] = static_cast<T>(total);
        }
    }
  });
}

/// How BLAS is told of a matrix: transposed or not, and the length of a stored row.
struct Stored {
  bool transposed;
  std::int64_t leading;
};
Stored stored(std::int64_t rows, std::int64_t columns, std::int64_t row_stride, std::int64_t column_stride) {
  if ((column_stride == 1 || columns <= 1) && (row_stride >= columns || rows <= 1))
    return {false, rows <= 1 ? std::max<std::int64_t>(columns, 1) : row_stride};
  return {true, columns <= 1 ? std::max<std::int64_t>(rows, 1) : column_stride};
}

bool reads_both(const MatmulProblem& p) {
  return blas_reads(p.m, p.k, p.a_row, p.a_column) && blas_reads(p.k, p.n, p.b_row, p.b_column);
}

void blas_tiles(const MatmulProblem& p) {
  const Stored a = stored(p.m, p.k, p.a_row, p.a_column), b = stored(p.k, p.n, p.b_row, p.b_column);
  const std::int64_t count = numel(p.batch);
  // Matrices of the batch that make a chunk: about 64^3 multiply-adds.
  const std::int64_t per_chunk = std::max<std::int64_t>(1, 64 * 64 * 64 / std::max<std::int64_t>(1, p.m * p.n * p.k));
  dispatch_float("matmul", p.dtype, [&]<class T>(T) {
    const auto one = [&](std::int64_t i) {
      const Offsets at = matrix(p, i);
      T* y = static_cast<T*>(p.y) + at.y;
      if (p.bias)
        for (std::int64_t row = 0; row < p.m; ++row) std::copy_n(static_cast<const T*>(p.bias), p.n, y + row * p.n);
      blas::parallel_gemm(a.transposed, b.transposed, p.m, p.n, p.k, T(1), static_cast<const T*>(p.a) + at.a, a.leading,
                          static_cast<const T*>(p.b) + at.b, b.leading, T(p.bias ? 1 : 0), y, p.n);
    };
    if (count == 1)
      one(0);
    else
      parallel_ranges(count, per_chunk, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) one(i);
      });
  });
}

// ---- skinny

constexpr std::int64_t kSkinnyElements = 1 << 16;  // of the large matrix: less is a matter of microseconds
constexpr std::int64_t kSkinnyTask = 1 << 18;      // elements of it to a chunk, when it is read: 1 MiB
constexpr std::int64_t kGatherRows = 8;            // its sums pass through L1, so BLAS wins earlier

/// Which of the three products with few rows p is.
enum class Skinny { none, dot, gather, outer };
Skinny skinny_form(const MatmulProblem& p) {
  if (p.dtype != DType::f32 || numel(p.batch) != 1) return Skinny::none;
  if (p.m <= matmul_skinny_simd().dot_rows && p.m > 0 && p.n * p.k >= kSkinnyElements) {
    if (p.b_row == 1 && p.a_column == 1 && p.k >= 64) return Skinny::dot;
    if (p.b_column == 1 && p.n >= 64 && p.m <= kGatherRows) return Skinny::gather;
  }
  const bool few_deep = p.k <= kSkinnyRows && p.k > 0 && p.m * p.n >= kSkinnyElements && p.n >= 64;
  return few_deep && p.b_column == 1 && p.bias == nullptr ? Skinny::outer : Skinny::none;
}
bool is_skinny(const MatmulProblem& p) { return skinny_form(p) != Skinny::none; }

void skinny(const MatmulProblem& p) {
  const MatmulSkinnySimd& simd = matmul_skinny_simd();
  const auto* a = static_cast<const float*>(p.a);
  const auto* b = static_cast<const float*>(p.b);
  const auto* bias = static_cast<const float*>(p.bias);
  auto* y = static_cast<float*>(p.y);
  // Rows to a task of so many elements; for `dot` twice as many as of a, which is read anew by each task.
  const auto rows_of = [](std::int64_t task, std::int64_t length, std::int64_t least = 1) {
    return std::max(task / length, least) / 12 * 12 + 12;
  };
  switch (skinny_form(p)) {
    case Skinny::dot:
      parallel_ranges(p.n, rows_of(kSkinnyTask, p.k, 2 * p.m), [&](std::int64_t begin, std::int64_t end) {
        simd.dot(a, p.a_row, b, p.b_column, bias, y, p.n, p.m, p.k, begin, end);
      });
      break;
    case Skinny::gather:
      parallel_ranges(p.n, kSkinnyColumns, [&](std::int64_t begin, std::int64_t end) {
        simd.gather(a, p.a_row, p.a_column, b, p.b_row, bias, y, p.n, p.m, p.k, begin, end);
      });
      break;
    case Skinny::outer:
      parallel_ranges(p.m, std::min(kSkinnyOuterRows, rows_of(4 * kSkinnyTask, p.n)),
                      [&](std::int64_t begin, std::int64_t end) {
                        simd.outer(a, p.a_row, p.a_column, b, p.b_row, y, p.n, p.k, p.n, begin, end);
                      });
      break;
    case Skinny::none: break;
  }
}

}  // namespace

const Candidates<MatmulProblem>& matmul() {
  static const Candidates<MatmulProblem> candidates(
      "matmul",
      {{"skinny", "few rows on one side: the large matrix read or written once; bound by memory", is_skinny, skinny},
       {"blas", "OpenBLAS on tiles of y; bound by arithmetic", reads_both, blas_tiles},
       {"reference", "three loops, adding in f64", always<MatmulProblem>, reference}});
  return candidates;
}

}  // namespace cpu
}  // namespace gradus
