// Matrix products on CUDA: a ladder to read, and cuBLAS, which runs. 2 m n k operations on m k + k n + m n numbers.
//
//   naive      one thread for each element of y, straight from global memory. Bound by its loads: two for each FMA
//   tiled      blocks of 16x16 threads share tiles of a and b: an element is fetched once for 16 uses. Bound by shared
//              memory: still two loads for each FMA
//   registers  (cuda/gemm_tiles.cuh) 4x4 results to a thread: eight loads for 16 FMA. Bound by FMA
//   tensor     (cuda/gemm_tiles.cuh) tensor cores: a warp multiplies 16x8x8 at once. Products in TF32, only where TF32
//              is allowed, or bf16. Bound by waiting: tiles pass through registers, and nobody multiplies meanwhile
//   pipeline   (cuda/gemm_pipeline.cuh) the next tiles come by cp.async while this one is multiplied, and ldmatrix
//              feeds the tensor cores from swizzled shared memory. Bound by the tensor cores. Rows in multiples of 16
//              bytes
//   wgmma      (cuda/gemm_wgmma.cuh) Hopper's tensor cores read shared memory themselves, which TMA fills: no thread
//              touches an operand. Bound by the tensor cores. bf16, see matmul_wgmma_cuda.cu
//   cublas     the library, where it can read both operands as they lie
//
// bf16 is added up in f32 and rounded once, at the end.

#include "cuda/allocator.hpp"
#include "cuda/blas.hpp"
#include "cuda/each.cuh"
#include "cuda/gemm_pipeline.cuh"
#include "cuda/gemm_tiles.cuh"
#include "cuda/strided.cuh"
#include "ops/matmul/matmul_wgmma.hpp"

namespace gradus::cuda {
namespace {

/// A batch of products as a kernel's parameter.
template <class T>
struct Product {
  std::int64_t m, n, k, a_row, a_column, b_row, b_column;
  StridedIndex<3> batch;  // y, a, b
  const T* left;          // a
  const T* right;         // b
  const T* bias;
  T* y;

  explicit Product(const MatmulProblem& p)
      : m(p.m),
        n(p.n),
        k(p.k),
        a_row(p.a_row),
        a_column(p.a_column),
        b_row(p.b_row),
        b_column(p.b_column),
        batch(p.batch, {&p.y_batch, &p.a_batch, &p.b_batch}),
        left(static_cast<const T*>(p.a)),
        right(static_cast<const T*>(p.b)),
        bias(static_cast<const T*>(p.bias)),
        y(static_cast<T*>(p.y)) {}

  /// Moves to matrix i of the batch.
  __device__ void select(std::int64_t i) {
    const Offsets<3> o = batch(i);
    y += o.at[0];
    left += o.at[1];
    right += o.at[2];
  }
  __device__ void store_element(std::int64_t row, std::int64_t column, Sum<T> value) const {
    y[row * n + column] = device_convert<T>(bias ? value + value_at(bias + column) : value);
  }
};

// ---- naive

template <class T>
void naive(const MatmulProblem& problem) {
  const Product<T> all(problem);
  each(all.batch.total * all.m * all.n, [=] __device__(std::int64_t i) {
    Product<T> p = all;
    p.select(i / (p.m * p.n));
    const std::int64_t row = i / p.n % p.m, column = i % p.n;
    double total = 0;
    for (std::int64_t j = 0; j < p.k; ++j)
      total += device_convert<double>(p.left[row * p.a_row + j * p.a_column]) *
               device_convert<double>(p.right[j * p.b_row + column * p.b_column]);
    if (p.bias) total += device_convert<double>(p.bias[column]);
    p.y[row * p.n + column] = device_convert<T>(total);
  });
}

// ---- tiled

constexpr int kTile = 16;

template <class T>
__global__ void __launch_bounds__(kTile* kTile) tiled_kernel(Product<T> p) {
  __shared__ Sum<T> tile_a[kTile][kTile + 1];
  __shared__ Sum<T> tile_b[kTile][kTile + 1];
  p.select(blockIdx.z);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kTile + y;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * kTile + x;
  Sum<T> total = 0;
  for (std::int64_t k0 = 0; k0 < p.k; k0 += kTile) {
    const bool has_a = row < p.m && k0 + x < p.k, has_b = column < p.n && k0 + y < p.k;
    tile_a[y][x] = value_at(has_a ? p.left + row * p.a_row + (k0 + x) * p.a_column : nullptr);
    tile_b[y][x] = value_at(has_b ? p.right + (k0 + y) * p.b_row + column * p.b_column : nullptr);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kTile; ++k) total += tile_a[y][k] * tile_b[k][x];
    __syncthreads();
  }
  if (row < p.m && column < p.n) p.store_element(row, column, total);
}

template <class T>
void tiled(const MatmulProblem& problem) {
  const Product<T> p(problem);
  const dim3 grid(static_cast<unsigned>((p.m + kTile - 1) / kTile), static_cast<unsigned>((p.n + kTile - 1) / kTile),
                  static_cast<unsigned>(p.batch.total));
  launch(tiled_kernel<T>, grid, dim3(kTile, kTile), 0, stream(), p);
}

// ---- registers, tensor, pipeline

template <class T>
struct MatmulSource : Product<T> {
  using Element = T;
  using Row = const T*;     // of a; null outside
  using Column = const T*;  // of b; null outside
  using DepthA = std::int64_t;
  using DepthB = std::int64_t;
  std::int64_t begin = 0, end;
  bool a_along_depth, b_along_depth;

  explicit MatmulSource(const MatmulProblem& p)
      : Product<T>(p), end(p.k), a_along_depth(p.a_column == 1), b_along_depth(p.b_row == 1 && p.b_column != 1) {}

  __device__ Row row(std::int64_t i) const { return i < this->m ? this->left + i * this->a_row : nullptr; }
  __device__ DepthA depth_a(std::int64_t j) const { return j; }
  __device__ const T* a(const Row& row, const DepthA& j) const {
    return row && j < end ? row + j * this->a_column : nullptr;
  }
  __device__ Column column(std::int64_t i) const { return i < this->n ? this->right + i * this->b_column : nullptr; }
  __device__ DepthB depth_b(std::int64_t j) const { return j; }
  __device__ const T* b(const DepthB& j, const Column& column) const {
    return column && j < end ? column + j * this->b_row : nullptr;
  }
  __device__ void store(std::int64_t row, std::int64_t column, Sum<T> value) const {
    this->store_element(row, column, value);
  }
};

/// The same for the pipeline, which is compiled for each way the operands may lie.
template <class T, bool kAlongA, bool kAlongB>
struct PipelineSource : MatmulSource<T> {
  static constexpr bool a_along_depth = kAlongA, b_along_depth = kAlongB;
  using MatmulSource<T>::MatmulSource;
  __device__ void store_four(std::int64_t row, std::int64_t column, float (&v)[4]) const {
    if (this->bias) {
#pragma unroll
      for (int i = 0; i < 4; ++i) v[i] += value_at(this->bias + column + i);
    }
    cuda::store_four(this->y + row * this->n + column, v);
  }
};

/// Vectors of 16 bytes along one axis of a matrix: the axis has unit stride, the others and the size are multiples.
bool in_vectors(std::int64_t size, std::int64_t stride, std::int64_t other_stride, const Strides& batch,
                std::int64_t vector) {
  const auto multiple = [=](std::int64_t n) { return n % vector == 0; };
  return stride == 1 && multiple(size) && multiple(other_stride) && std::ranges::all_of(batch, multiple);
}
bool in_vectors_along_a(const MatmulProblem& p, std::int64_t v) {
  return in_vectors(p.k, p.a_column, p.a_row, p.a_batch, v);
}
bool in_vectors_along_b(const MatmulProblem& p, std::int64_t v) {
  return in_vectors(p.k, p.b_row, p.b_column, p.b_batch, v);
}

bool pipeline_takes(const MatmulProblem& p) {
  const std::int64_t v = 16 / dtype_size(p.dtype);
  for (const void* operand : {p.a, p.b, static_cast<const void*>(p.y)})
    if (reinterpret_cast<std::uintptr_t>(operand) % 16 != 0) return false;
  const bool across_b = in_vectors(p.n, p.b_column, p.b_row, p.b_batch, v);
  if (p.n % 4 != 0) return false;
  if (in_vectors_along_a(p, v)) return in_vectors_along_b(p, v) || across_b;
  return in_vectors(p.m, p.a_row, p.a_column, p.a_batch, v) && across_b;
}

template <class T>
void run_pipeline(const MatmulProblem& p) {
  const std::int64_t v = 16 / dtype_size(p.dtype), layers = numel(p.batch);
  if (!in_vectors_along_a(p, v))
    gemm_pipeline<false>(PipelineSource<T, false, false>(p), layers);
  else if (in_vectors_along_b(p, v))
    gemm_pipeline<false>(PipelineSource<T, true, true>(p), layers);
  else
    gemm_pipeline<false>(PipelineSource<T, true, false>(p), layers);
}

// ---- cublas

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

/// Both operands can be read, and the batch is one matrix or evenly spaced ones.
bool cublas_reads(const MatmulProblem& p) {
  return p.k > 0 && p.batch.size() <= 1 && blas_reads(p.m, p.k, p.a_row, p.a_column) &&
         blas_reads(p.k, p.n, p.b_row, p.b_column);
}

template <class T>
void spread_bias(const MatmulProblem& p) {
  const std::int64_t n = p.n;
  const T* bias = static_cast<const T*>(p.bias);
  T* y = static_cast<T*>(p.y);
  each(numel(p.batch) * p.m * n, [=] __device__(std::int64_t i) { y[i] = bias[i % n]; });
}

template <class T>
void cublas(const MatmulProblem& p) {
  const Stored a = stored(p.m, p.k, p.a_row, p.a_column), b = stored(p.k, p.n, p.b_row, p.b_column);
  if (p.bias) spread_bias<T>(p);
  GemmBatch batch;
  if (p.batch.size() == 1) batch = {p.batch[0], p.a_batch[0], p.b_batch[0], p.y_batch[0]};
  gemm(a.transposed, b.transposed, p.m, p.n, p.k, 1, static_cast<const T*>(p.a), a.leading, static_cast<const T*>(p.b),
       b.leading, p.bias ? 1 : 0, static_cast<T*>(p.y), p.n, batch);
}

/// A grid has at most 65,535 blocks along y and z.
bool fits_grid(const MatmulProblem& p) { return numel(p.batch) <= 65535 && p.n <= 16 * 65535; }
bool tensor_allowed(const MatmulProblem& p) {
  return (p.dtype == DType::bf16 || (p.dtype == DType::f32 && tf32_allowed())) && fits_grid(p);
}
bool pipeline_allowed(const MatmulProblem& p) { return tensor_allowed(p) && pipeline_takes(p); }

template <class Fn>
void typed(const MatmulProblem& p, Fn&& fn) {
  if (p.dtype == DType::bf16)
    fn(bf16{});
  else
    dispatch_float("matmul", p.dtype, fn);
}
template <class Fn>
void tensor_typed(const MatmulProblem& p, Fn&& fn) {
  if (p.dtype == DType::bf16)
    fn(bf16{});
  else
    fn(float{});
}

}  // namespace

const Candidates<MatmulProblem>& matmul() {
  static const Candidates<MatmulProblem> list(
      "matmul",
      {{"cublas", "the library; bound by arithmetic", cublas_reads,
        [](const MatmulProblem& p) { typed(p, [&]<class T>(T) { cublas<T>(p); }); }},
       {"wgmma", "Hopper's tensor cores in bf16, fed by TMA; bound by tensor cores", takes_wgmma, matmul_wgmma},
       {"pipeline", "cp.async, ldmatrix and mma.sync, in bf16 or TF32 (if allowed); bound by tensor cores",
        pipeline_allowed, [](const MatmulProblem& p) { tensor_typed(p, [&]<class T>(T) { run_pipeline<T>(p); }); }},
       {"tensor", "tensor cores, in bf16 or TF32 (if allowed); bound by waiting for tiles", tensor_allowed,
        [](const MatmulProblem& p) {
          tensor_typed(p, [&]<class T>(T) { gemm_tensor(MatmulSource<T>(p), numel(p.batch)); });
        }},
       {"registers", "4x4 results to a thread; bound by FMA", fits_grid,
        [](const MatmulProblem& p) {
          typed(p, [&]<class T>(T) { gemm_registers(MatmulSource<T>(p), numel(p.batch)); });
        }},
       {"tiled", "tiles in shared memory; bound by its loads", fits_grid,
        [](const MatmulProblem& p) { typed(p, [&]<class T>(T) { tiled<T>(p); }); }},
       {"naive", "a thread for each result, in f64; bound by loads", always<MatmulProblem>,
        [](const MatmulProblem& p) { typed(p, [&]<class T>(T) { naive<T>(p); }); }}});
  return list;
}

}  // namespace gradus::cuda
