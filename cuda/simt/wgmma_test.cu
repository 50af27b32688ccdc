// wgmma against plain loops, for the layouts its descriptors tell, and misuse.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "cuda/ptx_sm90.cuh"
#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;
using ptx::Major;

constexpr int kM = 64, kDepth = 64;  // one tile of 128-byte rows of bf16

/// Byte of a tile whose rows of 128 bytes lie under the 128-byte swizzle.
__device__ int swizzled_128(int row, int byte) { return row * 128 + ((byte / 16 ^ row % 8) * 16) + byte % 16; }

/// Writes element (i, k) of an operand of `across` x kDepth bf16 as the form wants it: along the depth, rows of 64
/// depths; across, rows of 64 m (n) and such columns of tiles one after the other.
__device__ void put(char* tile, Major major, int i, int k, __nv_bfloat16 v) {
  const int at = major == Major::depth ? swizzled_128(i, 2 * k) : i / 64 * 128 * kDepth + swizzled_128(k, i % 64 * 2);
  *reinterpret_cast<__nv_bfloat16*>(tile + at) = v;
}
__device__ std::uint64_t step(const char* tile, Major major, int k) {  // descriptor of depths k to k + 15
  return major == Major::depth ? ptx::wgmma_descriptor(tile + 2 * k, 0, 1024, 128)
                               : ptx::wgmma_descriptor(tile + 128 * k, 128 * kDepth, 1024, 128);
}

// d [64, n] = a [64, 64] b [n, 64]^T, twice: the second time added to the first.
template <int n, Major major_a, Major major_b>
__global__ void multiply(const __nv_bfloat16* a, const __nv_bfloat16* b, float* d) {
  char* tile_a = dynamic_shared<char>();
  char* tile_b = tile_a + kM * 128;
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < kM * kDepth; i += 128) put(tile_a, major_a, i / kDepth, i % kDepth, a[i]);
  for (int i = thread; i < n * kDepth; i += 128) put(tile_b, major_b, i / kDepth, i % kDepth, b[i]);
  ptx::fence_proxy_async();
  __syncthreads();
  float sums[n / 2];
  for (float& s : sums) s = 1e30f;  // not added to
  ptx::wgmma_fence();
  for (int round = 0; round < 2; ++round) {
    for (int k = 0; k < kDepth; k += 16)
      ptx::wgmma_bf16<n, major_a, major_b>(sums, step(tile_a, major_a, k), step(tile_b, major_b, k), round + k > 0);
    ptx::wgmma_commit();
  }
  ptx::wgmma_wait<0>();
  const int g = thread % 32 / 4, t = thread % 4, m0 = thread / 32 * 16;
  for (int i = 0; i < n / 2; ++i) d[(m0 + g + i / 2 % 2 * 8) * n + i / 4 * 8 + 2 * t + i % 2] = sums[i];
}

// TF32, with tiles of 8 rows x 16 bytes and no swizzle: d [64, 64] = a [64, 8] b [64, 8]^T.
__global__ void multiply_tf32(const float* a, const float* b, float* d) {
  float* tile_a = dynamic_shared<float>();
  float* tile_b = tile_a + 64 * 8;
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < 64 * 8; i += 128) {
    const int row = i / 8, k = i % 8, at = row / 8 * 64 + k / 4 * 32 + row % 8 * 4 + k % 4;
    tile_a[at] = a[i], tile_b[at] = b[i];
  }
  ptx::fence_proxy_async();
  __syncthreads();
  float sums[32];
  ptx::wgmma_fence();
  ptx::wgmma_tf32<64>(sums, ptx::wgmma_descriptor(tile_a, 128, 256, 0), ptx::wgmma_descriptor(tile_b, 128, 256, 0),
                      false);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  const int g = thread % 32 / 4, t = thread % 4, m0 = thread / 32 * 16;
  for (int i = 0; i < 32; ++i) d[(m0 + g + i / 2 % 2 * 8) * 64 + i / 4 * 8 + 2 * t + i % 2] = sums[i];
}

enum class Misuse {
  none,
  wrong_stride,
  read_early,
  no_fence,
  write_operand,
  write_sums,
  out_of_range,
  warps_differ,
  warp_missing,
  within_pattern
};
// One product of ones, d[0] of each thread: 16 where all is well.
__global__ void misuse(Misuse how, float* d) {
  char* tile = dynamic_shared<char>();  // 64 rows of 128 bytes: row i holds 1 + i / 8
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < kM * kDepth; i += 128)
    reinterpret_cast<__nv_bfloat16*>(tile)[i] = __nv_bfloat16(how == Misuse::wrong_stride ? 1.0f + i / 512 : 1.0f);
  ptx::fence_proxy_async();
  __syncthreads();
  float sums[32];
  for (float& s : sums) s = 0;
  if (how != Misuse::no_fence) ptx::wgmma_fence();
  const char* at = tile + (how == Misuse::out_of_range ? 1024 : how == Misuse::within_pattern ? 256 : 0);
  const auto a = ptx::wgmma_descriptor(at, 0, how == Misuse::wrong_stride ? 2048 : 1024, 128);
  const auto b = ptx::wgmma_descriptor(tile, 0, 1024, 128);
  if (how != Misuse::warp_missing || thread / 32 != 3)
    ptx::wgmma_bf16<64>(sums, how == Misuse::warps_differ && thread / 32 == 2 ? a + 2 : a, b);
  ptx::wgmma_commit();
  const float early = sums[0];
  if (how == Misuse::write_operand && thread == 77) tile[0] = 1;
  if (how == Misuse::write_operand) __syncthreads();
  if (how == Misuse::write_sums) sums[3] = 0;
  ptx::wgmma_wait<0>();
  d[thread] = how == Misuse::read_early ? early : sums[0];
}
__global__ void half_a_warpgroup() { ptx::wgmma_fence(); }

template <class T>
std::vector<T> random_values(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<T> v(n);
  for (T& x : v) x = T(normal(engine));
  return v;
}

template <class T>
void check_product(const std::vector<T>& a, const std::vector<T>& b, const std::vector<float>& d, int n, int depth,
                   double times, double tolerance) {
  double worst = 0;
  for (int i = 0; i < kM; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = 0, scale = 0;
      for (int k = 0; k < depth; ++k) {
        const double p = static_cast<double>(static_cast<float>(a[static_cast<std::size_t>(i * depth + k)])) *
                         static_cast<double>(static_cast<float>(b[static_cast<std::size_t>(j * depth + k)]));
        sum += times * p, scale += std::fabs(times * p);
      }
      worst = std::max(worst, std::fabs(static_cast<double>(d[static_cast<std::size_t>(i * n + j)]) - sum) / scale);
    }
  CHECK(worst <= tolerance);
}

template <int n, Major major_a, Major major_b>
void check_form() {
  const auto a = random_values<__nv_bfloat16>(kM * kDepth, 1), b = random_values<__nv_bfloat16>(n * kDepth, 2);
  const Buffer<__nv_bfloat16> da(a), db(b);
  const Buffer<float> d(kM * n, 0.0f);
  launch(multiply<n, major_a, major_b>, 1, 128, (kM + n) * 128, nullptr, da.data(), db.data(), d.data());
  check_product(a, b, d.values(), n, kDepth, 2, 0x1p-20);
}

}  // namespace

TEST_CASE("wgmma: bf16 products of swizzled tiles, along the depth and across it") {
  check_form<64, Major::depth, Major::depth>();
  check_form<128, Major::depth, Major::depth>();
  check_form<256, Major::depth, Major::across>();
  check_form<128, Major::across, Major::across>();
  check_form<64, Major::across, Major::depth>();
}

TEST_CASE("wgmma: TF32 products of plain tiles") {
  const auto a = random_values<float>(kM * 8, 1), b = random_values<float>(64 * 8, 2);
  const Buffer<float> da(a), db(b), d(kM * 64, 0.0f);
  launch(multiply_tf32, 1, 128, 2 * 64 * 8 * 4, nullptr, da.data(), db.data(), d.data());
  check_product(a, b, d.values(), 64, 8, 1, 0x1p-9);
}

TEST_CASE("wgmma: a wrong stride gives another product, and accumulators read early are NaN") {
  const auto first = [](Misuse how, std::size_t bytes) {
    const Buffer<float> d(128, -1.0f);
    launch(misuse, 1, 128, bytes, nullptr, how, d.data());
    return d.values();
  };
  for (const float v : first(Misuse::none, kM * 128)) CHECK(v == 16.0f);
  const auto wrong = first(Misuse::wrong_stride, 2 * kM * 128);
  CHECK(wrong[0] == 16.0f);
  CHECK(std::isnan(wrong[127]));  // rows 48 and on were read from where nobody has written
  for (const float v : first(Misuse::read_early, kM * 128)) CHECK(std::isnan(v));
}

TEST_CASE("wgmma: misuse is an error at its line") {
  const auto error = [](Misuse how) {
    return error_of([&] {
      const Buffer<float> d(128, 0.0f);
      launch(misuse, 1, 128, kM * 128, nullptr, how, d.data());
    });
  };
  CHECK(error(Misuse::none) == "");
  CHECK(contains(error(Misuse::no_fence), "accumulators that the thread has written want a wgmma.fence first"));
  CHECK(contains(error(Misuse::no_fence), "wgmma_test.cu:"));
  CHECK(contains(error(Misuse::write_operand), "an operand in shared memory was written before the wgmma.wait_group"));
  CHECK(contains(error(Misuse::write_sums), "accumulators were written before the wgmma.wait_group"));
  CHECK(contains(error(Misuse::out_of_range), "the descriptor of a reaches byte"));
  CHECK(contains(error(Misuse::warps_differ), "the warps of a warpgroup issue different instructions"));
  CHECK(contains(error(Misuse::warp_missing), "warp 3 never comes to an instruction that its warpgroup issues"));
  CHECK(contains(error(Misuse::within_pattern), "must begin at a multiple of 1024 bytes"));
  CHECK(contains(error_of([] { launch(half_a_warpgroup, 1, 64, 0, nullptr); }),
                 "wgmma.fence: takes four whole warps, but the block's last warpgroup has 64 threads"));
}

}  // namespace gradus::simt::test
