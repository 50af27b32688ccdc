// mbarriers and TMA: what waits bring, what boxes hold, and misuse.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/ptx_sm90.cuh"
#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;

/// A map of f32 numbers of `sizes` (contiguous first), dense.
CUtensorMap map_of(const float* data, const std::vector<cuuint64_t>& sizes, const std::vector<cuuint32_t>& box,
                   CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE, CUresult expected = CUDA_SUCCESS) {
  CUtensorMap map{};
  std::vector<cuuint64_t> strides;
  cuuint64_t bytes = 4;
  for (const cuuint64_t s : sizes) strides.push_back(bytes *= s);
  const std::vector<cuuint32_t> ones(sizes.size(), 1);
  CHECK(cuTensorMapEncodeTiled(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, static_cast<cuuint32_t>(sizes.size()),
                               const_cast<float*>(data), sizes.data(), strides.data(), box.data(), ones.data(),
                               CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                               CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == expected);
  return map;
}
std::vector<float> count_up(std::size_t n) {
  std::vector<float> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = static_cast<float>(i + 1);
  return v;
}

// Warp 0 writes what warp 1 reads, round after round, with two barriers and no other.
__global__ void ping_pong(int rounds, int* out) {
  ptx::Mbarrier* full = dynamic_shared<ptx::Mbarrier>();
  ptx::Mbarrier* empty = full + 1;
  int* box = reinterpret_cast<int*>(full + 2);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 32);
    ptx::mbarrier_init(empty, 1);
    ptx::fence_mbarrier_init();
  }
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  for (int i = 0; i < rounds; ++i) {
    const unsigned parity = static_cast<unsigned>(i) & 1u;
    if (threadIdx.x < 32) {
      ptx::mbarrier_wait(empty, parity ^ 1u);
      box[lane] = 100 * i + static_cast<int>(lane);
      ptx::mbarrier_arrive(full);
    } else {
      ptx::mbarrier_wait(full, parity);
      out[32 * i + static_cast<int>(lane)] = box[31 - lane];
      __syncwarp();
      if (lane == 0) ptx::mbarrier_arrive(empty);
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::mbarrier_invalidate(full);
    ptx::mbarrier_invalidate(empty);
  }
}

template <int kDims>
struct Load {
  CUtensorMap map;
  int at[4];
  int floats;  // of the box
};

// One box to global memory; seen[0] is a number of it before the wait.
template <int kDims>
__global__ void load_box(const __grid_constant__ Load<kDims> load, float* out, float* seen) {
  float* box = dynamic_shared<float>();
  auto* barrier = reinterpret_cast<ptx::Mbarrier*>(box + load.floats);
  for (int i = static_cast<int>(threadIdx.x); i < load.floats; i += static_cast<int>(blockDim.x)) box[i] = -1.0f;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::fence_proxy_async();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::mbarrier_arrive_expect(barrier, static_cast<unsigned>(load.floats) * 4);
    const int* at = load.at;
    if constexpr (kDims == 2) ptx::tma_load_2d(box, &load.map, barrier, at[0], at[1]);
    if constexpr (kDims == 3) ptx::tma_load_3d(box, &load.map, barrier, at[0], at[1], at[2]);
    if constexpr (kDims == 4) ptx::tma_load_4d(box, &load.map, barrier, at[0], at[1], at[2], at[3]);
    *seen = box[0];
  }
  ptx::mbarrier_wait(barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < load.floats; i += static_cast<int>(blockDim.x)) out[i] = box[i];
}

template <int kDims>
std::vector<float> loaded(const Load<kDims>& load) {
  const Buffer<float> out(static_cast<std::size_t>(load.floats), -2.0f), seen(1, 0.0f);
  launch(load_box<kDims>, 1, 32, static_cast<std::size_t>(load.floats) * 4 + 8, nullptr, load, out.data(), seen.data());
  CHECK(seen.values()[0] == -1.0f);  // the data comes with the wait
  return out.values();
}

struct WindowLoad {
  CUtensorMap map;
  int corner[3];  // n, h, w
  int tap[2];     // h, w
  int pixels;
};
// Windows' pixels of four channels.
__global__ void load_windows(const __grid_constant__ WindowLoad load, float* out) {
  float* box = dynamic_shared<float>();
  auto* barrier = reinterpret_cast<ptx::Mbarrier*>(box + 4 * load.pixels);
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(barrier, 1);
    ptx::fence_mbarrier_init();
    ptx::mbarrier_arrive_expect(barrier, static_cast<unsigned>(load.pixels) * 16);
    ptx::tma_load_im2col(box, &load.map, barrier, 0, load.corner[2], load.corner[1], load.corner[0], load.tap[1],
                         load.tap[0]);
    ptx::mbarrier_wait(barrier, 0);
    for (int i = 0; i < 4 * load.pixels; ++i) out[i] = box[i];
  }
}

enum class Misuse {
  no_init,
  init_twice,
  too_many,
  never_enough,
  too_few_bytes,
  overwritten,
  no_fence,
  misaligned,
  not_a_map,
  not_awaited,
  invalidated
};
struct Misused {
  CUtensorMap map;
  Misuse how;
};
__global__ void misuse(const __grid_constant__ Misused m) {
  float* box = dynamic_shared<float>();  // 128 bytes
  auto* barrier = reinterpret_cast<ptx::Mbarrier*>(box + 32);
  if (m.how != Misuse::no_init) ptx::mbarrier_init(barrier, 1);
  if (m.how == Misuse::init_twice) ptx::mbarrier_init(barrier, 1);
  if (m.how != Misuse::no_fence) ptx::fence_mbarrier_init();
  if (m.how == Misuse::overwritten) *barrier = 7;
  if (m.how == Misuse::invalidated) ptx::mbarrier_invalidate(barrier);
  const CUtensorMap none{};
  ptx::mbarrier_arrive_expect(barrier, m.how == Misuse::too_few_bytes ? 256 : 128);
  if (m.how == Misuse::too_many) ptx::mbarrier_arrive(barrier);
  if (m.how != Misuse::never_enough)
    ptx::tma_load_2d(box + (m.how == Misuse::misaligned ? 4 : 0), m.how == Misuse::not_a_map ? &none : &m.map, barrier,
                     0, 0);
  if (m.how != Misuse::not_awaited) ptx::mbarrier_wait(barrier, 0);
}

}  // namespace

TEST_CASE("mbarrier: two warps hand a buffer to and fro by phases") {
  constexpr int kRounds = 7;
  const Buffer<int> out(32 * kRounds, -1);
  launch(ping_pong, 1, 64, 256, nullptr, kRounds, out.data());
  const auto got = out.values();
  for (int i = 0; i < 32 * kRounds; ++i) CHECK(got[static_cast<std::size_t>(i)] == 100 * (i / 32) + 31 - i % 32);
}

TEST_CASE("TMA: a box of a matrix, partly outside it, arrives with the wait") {
  const Buffer<float> x(count_up(20 * 10));
  const auto map = map_of(x.data(), {20, 10}, {8, 4});
  const auto got = loaded(Load<2>{map, {16, -1}, 32});
  for (int i = 0; i < 32; ++i) {
    const int column = 16 + i % 8, row = i / 8 - 1;
    CHECK(got[static_cast<std::size_t>(i)] ==
          (column < 20 && row >= 0 ? static_cast<float>(20 * row + column + 1) : 0.0f));
  }
}

TEST_CASE("TMA: swizzles put 16-byte chunks where the rows' numbers say") {
  const Buffer<float> x(count_up(32 * 16));
  const auto run = [&](CUtensorMapSwizzle swizzle, int span) {
    const int across = span / 4, chunks = span / 16;
    const auto got = loaded(
        Load<2>{map_of(x.data(), {32, 16}, {static_cast<cuuint32_t>(across), 16}, swizzle), {0, 0}, across * 16});
    for (int row = 0; row < 16; ++row)
      for (int c = 0; c < across; ++c) {
        const int byte = row * span + 4 * c, group = byte / 128;  // 128 bytes share a pattern
        const int chunk = byte / 16 % chunks ^ group % chunks;
        const int place = (byte / span * span + chunk * 16 + byte % 16) / 4;
        CHECK(got[static_cast<std::size_t>(place)] == static_cast<float>(32 * row + c + 1));
      }
  };
  run(CU_TENSOR_MAP_SWIZZLE_32B, 32);
  run(CU_TENSOR_MAP_SWIZZLE_64B, 64);
  run(CU_TENSOR_MAP_SWIZZLE_128B, 128);
}

TEST_CASE("TMA: boxes of three and four dimensions") {
  const Buffer<float> x(count_up(8 * 3 * 5 * 2));
  const auto three = loaded(Load<3>{map_of(x.data(), {8, 3, 10}, {4, 2, 3}), {4, 1, 8}, 24});
  for (int i = 0; i < 24; ++i) {
    const int a = 4 + i % 4, b = 1 + i / 4 % 2, c = 8 + i / 8;
    CHECK(three[static_cast<std::size_t>(i)] == (c < 10 ? static_cast<float>(a + 8 * b + 24 * c + 1) : 0.0f));
  }
  const auto four = loaded(Load<4>{map_of(x.data(), {8, 3, 5, 2}, {8, 1, 2, 2}), {0, 2, 4, 0}, 32});
  for (int i = 0; i < 32; ++i) {
    const int c = 4 + i / 8 % 2, d = i / 16;
    CHECK(four[static_cast<std::size_t>(i)] == (c < 5 ? static_cast<float>(i % 8 + 16 + 24 * c + 120 * d + 1) : 0.0f));
  }
}

TEST_CASE("TMA: im2col walks the windows' corners by their stride, over the ends of rows and pictures") {
  constexpr int kN = 2, kH = 5, kW = 7, kC = 4, kPadding = 1, kWindow = 3, kStride = 2, kPixels = 16;
  constexpr int kP = (kH + 2 * kPadding - kWindow) / kStride + 1, kQ = (kW + 2 * kPadding - kWindow) / kStride + 1;
  const Buffer<float> x(count_up(kN * kH * kW * kC));
  WindowLoad load{{}, {0, 0, 0}, {0, 0}, kPixels};
  const cuuint64_t sizes[] = {kC, kW, kH, kN}, strides[] = {kC * 4, kC * kW * 4, kC * kW * kH * 4};
  const int lower[] = {-kPadding, -kPadding}, upper[] = {kPadding - kWindow + 1, kPadding - kWindow + 1};
  const cuuint32_t steps[] = {1, kStride, kStride, 1};
  REQUIRE(cuTensorMapEncodeIm2col(&load.map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4, x.data(), sizes, strides, lower, upper,
                                  kC, kPixels, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                                  CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS);
  for (int first : {0, 5, 20})
    for (int r = 0; r < kWindow; ++r)
      for (int s = 0; s < kWindow; ++s) {
        load.corner[0] = first / (kP * kQ);
        load.corner[1] = first / kQ % kP * kStride - kPadding, load.corner[2] = first % kQ * kStride - kPadding;
        load.tap[0] = r, load.tap[1] = s;
        const Buffer<float> out(kPixels * kC, -1.0f);
        launch(load_windows, 1, 1, kPixels * kC * 4 + 8, nullptr, load, out.data());
        const auto got = out.values();
        for (int i = 0; i < kPixels * kC; ++i) {
          const int at = first + i / kC, n = at / (kP * kQ);
          const int h = at / kQ % kP * kStride - kPadding + r, w = at % kQ * kStride - kPadding + s;
          const bool inside = n < kN && h >= 0 && h < kH && w >= 0 && w < kW;
          CHECK(got[static_cast<std::size_t>(i)] ==
                (inside ? static_cast<float>(((n * kH + h) * kW + w) * kC + i % kC + 1) : 0.0f));
        }
      }
}

TEST_CASE("tensor maps: what the driver refuses") {
  const Buffer<float> x(64, 0.0f);
  map_of(x.data() + 1, {8, 8}, {4, 4}, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE);  // misaligned
  map_of(x.data(), {7, 8}, {4, 4}, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE);      // so is the second row
  map_of(x.data(), {8, 8}, {3, 4}, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE);      // 12 bytes
  map_of(x.data(), {8, 8}, {4, 257}, CU_TENSOR_MAP_SWIZZLE_NONE, CUDA_ERROR_INVALID_VALUE);
  map_of(x.data(), {64, 1}, {64, 1}, CU_TENSOR_MAP_SWIZZLE_128B, CUDA_ERROR_INVALID_VALUE);  // wider than the swizzle
}

TEST_CASE("mbarrier and TMA: misuse is an error at its line") {
  const Buffer<float> x(64, 1.0f);
  const auto error = [&](Misuse how) {
    return error_of([&] { launch(misuse, 1, 1, 128 + 8, nullptr, Misused{map_of(x.data(), {32, 2}, {32, 1}), how}); });
  };
  CHECK(contains(error(Misuse::no_init), "mbarrier.expect_tx: there is no mbarrier (mbarrier.init) at this address"));
  CHECK(contains(error(Misuse::no_init), "mbarrier_test.cu:"));
  CHECK(contains(error(Misuse::init_twice), "mbarrier.init: a live mbarrier is there"));
  CHECK(contains(error(Misuse::too_many), "mbarrier.arrive: more arrivals than the 1 of a phase"));
  CHECK(contains(error(Misuse::never_enough), "mbarrier.try_wait: the phase never completes"));
  CHECK(contains(error(Misuse::never_enough),
                 "lacks 0 of 1 arrivals, and 128 bytes more are expected than copies bring"));
  CHECK(contains(error(Misuse::too_few_bytes), "128 bytes more are expected"));
  CHECK(contains(error(Misuse::overwritten), "mbarrier.expect_tx: the mbarrier has been overwritten"));
  CHECK(contains(error(Misuse::no_fence), "initialised without a fence.mbarrier_init"));
  CHECK(contains(error(Misuse::misaligned), "the place in shared memory must be aligned to 128 bytes"));
  CHECK(contains(error(Misuse::not_a_map), "no tensor map"));
  CHECK(contains(error(Misuse::not_awaited), "the block ends before anybody has waited for the copy"));
  CHECK(contains(error(Misuse::invalidated), "there is no mbarrier"));
}

}  // namespace gradus::simt::test
