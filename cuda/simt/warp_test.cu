// Warp collectives against their definitions.
#include <doctest/doctest.h>

#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;

constexpr unsigned kAll = 0xffffffffu;

__global__ void shuffles(int* out, int width, int argument) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __shfl_sync(kAll, lane, argument, width);
  out[32 + lane] = __shfl_up_sync(kAll, lane, static_cast<unsigned>(argument), width);
  out[64 + lane] = __shfl_down_sync(kAll, lane, static_cast<unsigned>(argument), width);
  out[96 + lane] = __shfl_xor_sync(kAll, lane, argument, width);
}

__global__ void votes(unsigned* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __ballot_sync(kAll, lane % 3 == 0);
  out[32 + lane] = static_cast<unsigned>(__any_sync(kAll, lane == 31));
  out[64 + lane] = static_cast<unsigned>(__all_sync(kAll, lane != 31));
  out[96 + lane] = __match_any_sync(kAll, lane % 4);
  int same = 7;
  out[128 + lane] = __match_all_sync(kAll, lane / 32, &same) + static_cast<unsigned>(same);
  out[160 + lane] = __match_all_sync(kAll, lane / 2, &same) + static_cast<unsigned>(same);
}

__global__ void reductions(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  out[lane] = __reduce_add_sync(kAll, lane - 20);
  out[32 + lane] = __reduce_min_sync(kAll, lane - 20);
  out[64 + lane] = __reduce_max_sync(kAll, lane - 20);
  out[96 + lane] = static_cast<int>(__reduce_xor_sync(kAll, 1u << lane));
  out[128 + lane] = static_cast<int>(__reduce_and_sync(kAll, ~(1u << (lane & 1))));
  out[160 + lane] = static_cast<int>(__reduce_or_sync(kAll, 1u << (lane & 3)));
  out[192 + lane] = static_cast<int>(__reduce_max_sync(kAll, static_cast<unsigned>(lane - 1)));
}

// Halves of a warp go different ways, each with a mask of its own, and meet again.
__global__ void two_halves(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  int v = lane;
  if (lane < 16) {
    for (int i = 1; i < 16; i *= 2) v += __shfl_xor_sync(0x0000ffffu, v, i);
  } else {
    v = __shfl_sync(0xffff0000u, v, 20);
    __syncwarp(0xffff0000u);
  }
  out[threadIdx.x] = v + __shfl_sync(kAll, v, 16);
}

template <class T>
__global__ void exchange(T* x) {
  x[threadIdx.x] = __shfl_xor_sync(kAll, x[threadIdx.x], 31);
}

// A block sum as kernels write it: shuffles within warps, then one warp over the warps' sums.
__global__ void block_sum(const float* x, float* sums) {
  __shared__ float of_warp[32];
  float v = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (int i = 16; i > 0; i /= 2) v += __shfl_down_sync(kAll, v, static_cast<unsigned>(i));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? of_warp[threadIdx.x] : 0.0f;
    for (int i = 16; i > 0; i /= 2) v += __shfl_xor_sync(kAll, v, i);
    if (threadIdx.x == 0) sums[blockIdx.x] = v;
  }
}

__global__ void syncwarp_with_exited() {
  if (threadIdx.x >= 20) return;
  __syncwarp();
}

__global__ void outside_the_mask(float* out) {
  if (threadIdx.x < 8) out[threadIdx.x] = __shfl_down_sync(0xffu, 1.0f, 4);
}

__global__ void aggregated_add(int* count) {
  const unsigned active = __activemask();
  if (__ffs(static_cast<int>(active)) - 1 == static_cast<int>(threadIdx.x % 32)) atomicAdd(count, __popc(active));
}

__global__ void atomics(int* i, unsigned* u, float* f, double* d, unsigned long long* l) {
  const int t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&i[0], 1);
  atomicMax(&i[1], t);
  atomicMin(&i[2], -t);
  atomicInc(&u[0], 9);
  atomicOr(&u[1], 1u << (t % 32));
  atomicCAS(&u[2], 0u, 5u);
  atomicAdd(f, 0.5f);
  atomicAdd(d, 0.25);
  atomicAdd(l, 3ull);
}

}  // namespace

TEST_CASE("__shfl_sync and its kin: every lane gets the lane that the PTX manual says, for every width") {
  for (const int width : {2, 4, 8, 16, 32})
    for (const int argument : {0, 1, 3, 5, 17}) {
      const Buffer<int> out(128, -1);
      launch(shuffles, 1, 32, 0, nullptr, out.data(), width, argument);
      const std::vector<int> got = out.values();
      for (int lane = 0; lane < 32; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        const int begin = lane / width * width, end = begin + width;
        CHECK(got[at] == begin + argument % width);
        CHECK(got[32 + at] == (lane - argument >= begin ? lane - argument : lane));
        CHECK(got[64 + at] == (lane + argument < end ? lane + argument : lane));
        CHECK(got[96 + at] == ((lane ^ argument) < end ? lane ^ argument : lane));
      }
    }
}

TEST_CASE("votes and matches: agree with their definitions") {
  const Buffer<unsigned> out(192, 99u);
  launch(votes, 1, 32, 0, nullptr, out.data());
  const auto got = out.values();
  for (std::size_t lane = 0; lane < 32; ++lane) {
    CHECK(got[lane] == 0x49249249u);
    CHECK(got[32 + lane] == 1);
    CHECK(got[64 + lane] == 0);
    CHECK(got[96 + lane] == 0x11111111u << lane % 4);
    CHECK(got[128 + lane] == 0u);  // the mask, all ones, plus 1
    CHECK(got[160 + lane] == 0u);
  }
}

TEST_CASE("__reduce_*_sync: signed and unsigned") {
  const Buffer<int> out(224, 99);
  launch(reductions, 1, 32, 0, nullptr, out.data());
  const auto got = out.values();
  for (std::size_t lane = 0; lane < 32; ++lane) {
    CHECK(got[lane] == 31 * 16 - 20 * 32);
    CHECK(got[32 + lane] == -20);
    CHECK(got[64 + lane] == 11);
    CHECK(got[96 + lane] == -1);
    CHECK(got[128 + lane] == -4);
    CHECK(got[160 + lane] == 15);
    CHECK(got[192 + lane] == -1);
  }
}

TEST_CASE("warp collectives: parts of a warp work apart under masks of their own") {
  const Buffer<int> out(64, -1);
  launch(two_halves, 1, 64, 0, nullptr, out.data());
  const auto got = out.values();
  for (std::size_t i = 0; i < 64; ++i) CHECK(got[i] == (i % 32 < 16 ? 120 + 20 : 20 + 20));
}

TEST_CASE("__shfl_sync: carries float, double, 64-bit integers and half") {
  const auto reversed = [](auto zero) {
    using T = decltype(zero);
    std::vector<T> x(32);
    for (int i = 0; i < 32; ++i) x[static_cast<std::size_t>(i)] = T(i);
    const Buffer<T> y(x);
    launch(exchange<T>, 1, 32, 0, nullptr, y.data());
    const auto got = y.values();
    for (int i = 0; i < 32; ++i) CHECK(got[static_cast<std::size_t>(i)] == T(31 - i));
  };
  reversed(0.0f);
  reversed(0.0);
  reversed(0ll);
  reversed(__half(0));
  reversed(__nv_bfloat16(0));
}

TEST_CASE("a block's sum by shuffles") {
  const Buffer<float> x(std::size_t{512} * 8, 0.25f), sums(8, 0.0f);
  launch(block_sum, 8, 512, 0, nullptr, x.data(), sums.data());
  CHECK(sums.values() == std::vector<float>(8, 128.0f));
}

TEST_CASE("__syncwarp: does not wait for lanes that have returned") {
  CHECK(error_of([] { launch(syncwarp_with_exited, 1, 32, 0, nullptr); }) == "");
}

TEST_CASE("__shfl_down_sync: a lane outside the mask gives NaN, so that using it shows") {
  const Buffer<float> out(8, 0.0f);
  launch(outside_the_mask, 1, 32, 0, nullptr, out.data());
  const auto got = out.values();
  for (std::size_t i = 0; i < 8; ++i) CHECK((got[i] == 1.0f) == (i < 4));
}

TEST_CASE("atomics: no update is lost, between blocks either") {
  const Buffer<int> i(3, 0), count(1, 0);
  const Buffer<unsigned> u(3, 0u);
  const Buffer<float> f(1, 0.0f);
  const Buffer<double> d(1, 0.0);
  const Buffer<unsigned long long> l(1, 0ull);
  launch(atomics, 64, 64, 0, nullptr, i.data(), u.data(), f.data(), d.data(), l.data());
  CHECK(i.values() == std::vector<int>{4096, 4095, -4095});
  CHECK(u.values() == std::vector<unsigned>{6, 0xffffffffu, 5});
  CHECK(f.values()[0] == 2048.0f);
  CHECK(d.values()[0] == 1024.0);
  CHECK(l.values()[0] == 12288);
  launch(aggregated_add, 3, 96, 0, nullptr, count.data());
  CHECK(count.values()[0] == 288);
}

}  // namespace gradus::simt::test
