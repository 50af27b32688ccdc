// How a grid runs: indices, barriers, shared memory, and the errors of kernels that wait in vain.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "cuda/simt/launch.hpp"
#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;

__global__ void write_indices(int* out) {
  const int block = static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  out[block * threads + thread] += block * threads + thread + 1;
}

__global__ void reverse_block(float* x) {
  __shared__ float tile[256];
  const unsigned i = threadIdx.x;
  tile[i] = x[blockIdx.x * blockDim.x + i];
  __syncthreads();
  x[blockIdx.x * blockDim.x + i] = tile[blockDim.x - 1 - i];
}

// A tree in dynamic shared memory: as many barriers as levels.
__global__ void sum_block(const float* x, float* sums) {
  float* s = dynamic_shared<float>();
  s[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) s[threadIdx.x] += s[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = s[0];
}

__global__ void count_predicates(int* out) {
  const int odd = static_cast<int>(threadIdx.x % 2);
  const int count = __syncthreads_count(odd);
  const int all = __syncthreads_and(odd), any = __syncthreads_or(odd), none = __syncthreads_or(0);
  if (threadIdx.x == 7) out[0] = count, out[1] = all, out[2] = any, out[3] = none;
}

__global__ void read_uninitialised_shared(float* out) { out[threadIdx.x] = dynamic_shared<float>()[threadIdx.x]; }

__global__ void divergent_barriers() {
  if (threadIdx.x < 3)
    __syncthreads();  // line A
  else
    __syncthreads();  // line B
}

__global__ void early_return(int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  __syncthreads();
}

__global__ void lane_missing() {
  if (threadIdx.x == 5) return;
  __shfl_xor_sync(0xffffffffu, 1, 1);
}

__global__ void lane_at_barrier() {
  if (threadIdx.x == 5)
    __syncthreads();
  else
    __ballot_sync(0xffffffffu, 1);
}

__global__ void lane_not_in_mask() { __any_sync(0xfffffffeu, 1); }

__global__ void gives_up() {
  if (threadIdx.x == 33) __trap();
}

__global__ void add_one_everywhere(float* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] += 1.0f;
}

__global__ void count_blocks(int* blocks) {
  if (threadIdx.x == 0) atomicAdd(blocks, 1);
}

__global__ void note_order(int* order, int* next) { order[atomicAdd(next, 1)] = static_cast<int>(blockIdx.x); }

template <class T, int n>
__global__ void templated(T*) {
  __trap();
}

__global__ void touch_address(volatile char* p) {
  if (threadIdx.x == 2) *p = 1;
}

__global__ void denormal(float* x) { x[0] *= 0.5f; }

}  // namespace

TEST_CASE("launch: every thread of a three-dimensional grid runs once and knows where it is") {
  const dim3 grid(3, 2, 4), block(5, 7, 2);
  const std::size_t n = 3 * 2 * 4 * 5 * 7 * 2;
  Buffer<int> out(n, 0);
  launch(write_indices, grid, block, 0, nullptr, out.data());
  std::vector<int> expected(n);
  std::iota(expected.begin(), expected.end(), 1);
  CHECK(out.values() == expected);
}

TEST_CASE("__syncthreads: what one thread wrote to shared memory before it, others read after it") {
  std::vector<float> x(256 * 50);
  std::iota(x.begin(), x.end(), 0.0f);
  Buffer<float> y(x);
  launch(reverse_block, 50, 256, 0, nullptr, y.data());
  for (std::size_t b = 0; b < 50; ++b)
    std::reverse(x.begin() + static_cast<long>(b * 256), x.begin() + static_cast<long>(b * 256 + 256));
  CHECK(y.values() == x);
}

TEST_CASE("dynamic_shared: a block has its own, of the bytes the launch gives") {
  const Buffer<float> x(std::size_t{1024} * 20, 1.5f);
  const Buffer<float> sums(20, 0.0f);
  launch(sum_block, 20, 1024, 4096, nullptr, x.data(), sums.data());
  CHECK(sums.values() == std::vector<float>(20, 1536.0f));
}

TEST_CASE("__syncthreads_count, _and, _or: see every thread's predicate") {
  const Buffer<int> out(4, -1);
  launch(count_predicates, 1, 48, 0, nullptr, out.data());
  CHECK(out.values() == std::vector<int>{24, 0, 1, 0});
}

TEST_CASE("shared memory: what was not written is NaN, and nothing is left over from another block") {
  const Buffer<float> out(64, 0.0f);
  launch(read_uninitialised_shared, 1, 64, 256, nullptr, out.data());
  for (const float v : out.values()) CHECK(std::isnan(v));
}

TEST_CASE("__syncthreads: threads at different barriers are an error that names both lines") {
  const std::string error = error_of([] { launch(divergent_barriers, 2, 32, 0, nullptr); });
  CHECK(contains(error, "__syncthreads: threads of a block wait at different barriers"));
  CHECK(contains(error, "thread (0, 0, 0) at"));
  CHECK(contains(error, "execution_test.cu:"));
  CHECK(contains(error, "thread (3, 0, 0) at"));
  CHECK(contains(error, "divergent_barriers<<<(2, 1, 1), (32, 1, 1), 0>>>"));
}

TEST_CASE("__syncthreads: a thread that has returned never comes, which is an error") {
  CHECK(error_of([] { launch(early_return, 1, 64, 0, nullptr, 64); }) == "");
  const std::string error = error_of([] { launch(early_return, 1, 64, 0, nullptr, 40); });
  CHECK(contains(error, "__syncthreads: 24 of 64 threads never come"));
  CHECK(contains(error, "returned from the kernel: lanes 8-31 of warp 1"));
}

TEST_CASE("warp collectives: a lane of the mask that does not come is named, with where it is") {
  std::string error = error_of([] { launch(lane_missing, 1, 32, 0, nullptr); });
  CHECK(contains(error, "__shfl_xor_sync: lanes of the mask 0xffffffff never come"));
  CHECK(contains(error, "lanes 5 have returned from the kernel"));
  error = error_of([] { launch(lane_at_barrier, 1, 32, 0, nullptr); });
  CHECK(contains(error, "__ballot_sync: lanes of the mask 0xffffffff never come"));
  CHECK(contains(error, "lanes 5 wait at __syncthreads"));
  error = error_of([] { launch(lane_not_in_mask, 1, 32, 0, nullptr); });
  CHECK(contains(error, "__any_sync: the mask must hold the calling lane, but lane 0 calls with mask 0xfffffffe"));
}

TEST_CASE("__trap: ends the launch with its line, block and thread") {
  const std::string error = error_of([] { launch(gives_up, 1, 64, 0, nullptr); });
  CHECK(contains(error, "__trap()"));
  CHECK(contains(error, "block (0, 0, 0), thread (33, 0, 0)"));
}

TEST_CASE("launch: after a fault the next kernel runs as if nothing had been") {
  for (int i = 0; i < 3; ++i) CHECK(error_of([] { launch(lane_missing, 4, 256, 0, nullptr); }) != "");
  CHECK(error_of([] { launch(gives_up, 1, 64, 0, nullptr); }) != "");  // with threads that had not begun
  const Buffer<int> order(5, -1), next(1, 0);
  launch(note_order, 5, 1, 0, nullptr, order.data(), next.data());
  CHECK(next.values()[0] == 5);
  const Buffer<float> sums(20, 0.0f), x(std::size_t{256} * 20, 1.0f);
  launch(sum_block, 20, 256, 1024, nullptr, x.data(), sums.data());
  CHECK(sums.values() == std::vector<float>(20, 256.0f));
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("launch: an illegal address ends the launch and not the program") {
  for (int i = 0; i < 2; ++i) {
    const std::string error =
        error_of([] { launch(touch_address, 1, 32, 0, nullptr, reinterpret_cast<volatile char*>(0x40)); });
    CHECK(contains(error, "illegal address 0x40"));
    CHECK(contains(error, "touch_address<<<(1, 1, 1), (32, 1, 1), 0>>>\n  block (0, 0, 0), thread (2, 0, 0)"));
  }
}
#endif

TEST_CASE("launch: kernels are named as in the source, template arguments included") {
  const std::string error = error_of([] { launch(templated<float, 3>, 1, 1, 0, nullptr, nullptr); });
  CHECK_MESSAGE(contains(error, "gradus::simt::test::templated<float, 3>"), error);
}

TEST_CASE("launch: refuses what the GPU would refuse, and says what it was") {
  const Buffer<int> x(1, 0);
  CHECK(contains(error_of([&] { launch(count_blocks, 1, 1025, 0, nullptr, x.data()); }),
                 "a block has 1 to 1024 threads, at most 64 deep, got 1025"));
  CHECK(contains(error_of([&] { launch(count_blocks, 1, 32, 300'000, nullptr, x.data()); }),
                 "a block has at most 232448 bytes of shared memory, got 300000"));
  CHECK(contains(error_of([&] { launch(count_blocks, dim3(1, 70'000), 32, 0, nullptr, x.data()); }),
                 "a grid is at most"));
  launch(count_blocks, dim3(0, 3), 32, 0, nullptr, x.data());
  CHECK(x.values()[0] == 0);
}

TEST_CASE("blocks: each runs once, in an order that the seed shuffles") {
  const auto order = [](unsigned seed) {
    set_seed(seed);
    const Buffer<int> blocks(97, -1), next(1, 0);
    launch(note_order, 97, 1, 0, nullptr, blocks.data(), next.data());
    return blocks.values();
  };
  std::vector<int> a = order(1), b = order(2);
  set_seed(0);
  CHECK(a != b);
  std::sort(a.begin(), a.end());
  std::vector<int> all(97);
  std::iota(all.begin(), all.end(), 0);
  CHECK(a == all);
}

TEST_CASE("arithmetic: denormal numbers are kept, as on a GPU") {
  const Buffer<float> x(std::size_t{1}, 0x1p-126f);
  launch(denormal, 1, 1, 0, nullptr, x.data());
  CHECK(x.values()[0] == 0x1p-127f);
}

TEST_CASE("speed: a million threads" * doctest::skip()) {
  const int n = 1 << 20;
  const Buffer<float> x(static_cast<std::size_t>(n), 0.0f);
  for (int i = 0; i < 5; ++i) {
    const long long begin = ticks();
    launch(add_one_everywhere, n / 256, 256, 0, nullptr, x.data(), n);
    MESSAGE("elementwise, 1 Mi threads: ", static_cast<double>(ticks() - begin) * 1e-6, " ms");
  }
  const Buffer<float> sums(1024, 0.0f);
  for (int i = 0; i < 5; ++i) {
    const long long begin = ticks();
    launch(sum_block, 1024, 1024, 4096, nullptr, x.data(), sums.data());
    MESSAGE("10 barriers each: ", static_cast<double>(ticks() - begin) * 1e-6, " ms");
  }
}

}  // namespace gradus::simt::test
