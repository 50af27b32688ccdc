// For each kind of fault a kernel that has it, reported on its line, and a twin without it, which is not.
#include "cuda/simt/checker.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cuda/ptx.cuh"
#include "cuda/ptx_sm90.cuh"
#include "cuda/simt/device_memory.hpp"
#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;

// The line of this file that ends in "FAULT <mark>".
int line_of(const std::string& mark) {
  const std::string path = __FILE__;  // as the compiler was given it: from a build folder
  std::ifstream in(path.substr(path.find("cuda/simt/")));
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.ends_with("FAULT " + mark)) return number;
  }
  return -1;
}

/// The one finding that is expected: its kind and line.
void check_found(const CheckReport& report, FaultKind kind, const std::string& mark) {
  REQUIRE_MESSAGE(report.findings.size() == 1, to_string(report));
  const Finding& f = report.findings[0];
  CHECK(f.kind == kind);
  CHECK_MESSAGE(f.where.file.ends_with("checker_test.cu"), to_string(report));
  CHECK_MESSAGE(f.where.line == line_of(mark), to_string(report));
}

/// One of the findings is this one; others follow from it.
void check_among(const CheckReport& report, FaultKind kind, const std::string& mark) {
  bool among = false;
  for (const Finding& f : report.findings) among = among || (f.kind == kind && f.where.line == line_of(mark));
  CHECK_MESSAGE(among, to_string(report));
}

void check_clean(const CheckReport& report) { CHECK_MESSAGE(report.clean(), to_string(report)); }

__global__ void scale(float* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) x[i] *= 2.0f;
}
__global__ void scale_beyond(float* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) x[i] = 2.0f;  // FAULT beyond
}
__global__ void before_the_beginning(const float* x, float* y) {
  const int i = static_cast<int>(threadIdx.x);
  y[i] = x[i - 1];  // FAULT before
}

template <int n>
__global__ void shared_array(float* y) {
  __shared__ float s[64];
  for (int i = static_cast<int>(threadIdx.x); i < n; i += 32) s[i] = 1.0f;  // FAULT shared array
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
__global__ void dynamic_array(float* y) {
  float* s = dynamic_shared<float>();
  s[threadIdx.x] = 1.0f;  // FAULT dynamic
  y[threadIdx.x] = s[threadIdx.x];
}

__global__ void copy(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];  // FAULT copy
}
__global__ void copy_vector(const float* x, float* y, int offset) {
  const float4 v = *reinterpret_cast<const float4*>(x + offset);  // FAULT misaligned
  *reinterpret_cast<float4*>(y) = v;
}

template <bool init>
__global__ void read_shared(float* y) {
  __shared__ float s[33];
  s[threadIdx.x] = 1.0f;
  if (init && threadIdx.x == 0) s[32] = 0.0f;
  __syncthreads();
  y[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x + 1];  // FAULT uninitialised shared
}

template <bool barrier>
__global__ void neighbour(const float* x, float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  if (barrier) __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x] + 1.0f;  // FAULT neighbour
}
// Forgetting the second barrier: the next round overwrites what others still read.
template <bool barrier>
__global__ void rounds(const float* x, float* y) {
  __shared__ float s[64];
  float sum = 0.0f;
  for (int i = 0; i < 3; ++i) {
    s[threadIdx.x] = x[threadIdx.x];  // FAULT overwritten
    __syncthreads();
    sum += s[63 - threadIdx.x];
    if (barrier) __syncthreads();
  }
  y[threadIdx.x] = sum;
}
// Within a warp __syncwarp orders, and a shuffle does not.
template <bool syncwarp>
__global__ void within_a_warp(float* y) {
  __shared__ float s[32];
  s[threadIdx.x] = 1.0f;
  if (syncwarp)
    __syncwarp();
  else
    __shfl_sync(0xffffffffu, 0, 0);
  y[threadIdx.x] = s[31 - threadIdx.x];  // FAULT within a warp
}
// Halves of a four-byte word are apart.
__global__ void halves(std::uint16_t* y) {
  __shared__ std::uint16_t s[64];
  s[threadIdx.x] = static_cast<std::uint16_t>(threadIdx.x);
  y[threadIdx.x] = s[threadIdx.x];
}

template <bool atomic>
__global__ void count_all(int* n) {
  if (atomic)
    atomicAdd(n, 1);
  else if (threadIdx.x == 0)
    *n = 1;  // FAULT blocks
}
// The last block to come adds what the others left: right only if each published its part before counting itself.
template <bool fence>
__global__ void last_block(float* parts, int* arrived, float* sum) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = 1.0f;
    if (fence) __threadfence();
    last = atomicAdd(arrived, 1) == static_cast<int>(gridDim.x) - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float total = 0.0f;
    for (unsigned b = 0; b < gridDim.x; ++b) total += parts[b];  // FAULT unpublished
    *sum = total;
  }
}

template <bool wait>
__global__ void prefetch(const float* x, float* y) {
  __shared__ __align__(16) float s[128];
  ptx::cp_async<16>(&s[threadIdx.x * 4], x + threadIdx.x * 4);
  ptx::cp_async_commit();
  if (wait) ptx::cp_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = s[127 - threadIdx.x];  // FAULT not waited for
}

template <bool everyone>
__global__ void conditional_barrier(float* y) {
  if (everyone || threadIdx.x < 16) __syncthreads();  // FAULT barrier
  y[threadIdx.x] = 1.0f;
}
template <bool everyone>
__global__ void conditional_shuffle(float* y) {
  float v = 1.0f;
  if (everyone || threadIdx.x != 3) v = __shfl_xor_sync(0xffffffffu, v, 1);  // FAULT lane
  y[threadIdx.x] = v;
}

template <int pitch>
__global__ void transpose(const float* x, float* y, int n) {
  __shared__ float tile[32][pitch];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int bx = static_cast<int>(blockIdx.x) * 32, by = static_cast<int>(blockIdx.y) * 32;
  for (int i = ty; i < 32; i += 8) tile[i][tx] = x[(by + i) * n + bx + tx];
  __syncthreads();
  for (int i = ty; i < 32; i += 8) y[(bx + i) * n + by + tx] = tile[tx][i];  // FAULT column
}
__global__ void strided(const float* x, float* y, int stride) {
  y[threadIdx.x] = x[threadIdx.x * stride];  // FAULT strided
}
__global__ void vectors(const float4* x, float4* y) { y[threadIdx.x] = x[threadIdx.x]; }

const LineReport* line_report(const CheckReport& report, const std::string& mark, bool shared, bool write) {
  for (const KernelReport& k : report.kernels)
    for (const LineReport& l : k.lines)
      if (l.where.line == line_of(mark) && l.shared == shared && l.write == write) return &l;
  return nullptr;
}

// Warp 4 brings 128 numbers a round by TMA, warps 0 to 3 add them up; a barrier tells each side of the other's end.
enum class Ring { right, no_wait, hands_back_early };
struct RingMap {
  CUtensorMap map;
};
template <Ring ring>
__global__ void tma_ring(const __grid_constant__ RingMap m, float* y) {
  float* box = dynamic_shared<float>();
  auto* full = reinterpret_cast<ptx::Mbarrier*>(box + 128);
  ptx::Mbarrier* empty = full + 1;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(full, 1);
    ptx::mbarrier_init(empty, 4);
    ptx::fence_mbarrier_init();
  }
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    const unsigned parity = static_cast<unsigned>(round) & 1u;
    if (threadIdx.x >= 128) {
      if (lane != 0) return;
      ptx::mbarrier_wait(empty, parity ^ 1u);
      ptx::mbarrier_arrive_expect(full, 512);
      ptx::tma_load_2d(box, &m.map, full, 0, 4 * round);  // FAULT overwrites
    } else {
      if (ring != Ring::no_wait || threadIdx.x != 77) ptx::mbarrier_wait(full, parity);
      if (ring == Ring::hands_back_early && lane == 0) ptx::mbarrier_arrive(empty);
      sum += box[threadIdx.x];  // FAULT reads early
      __syncwarp();
      if (ring != Ring::hands_back_early && lane == 0) ptx::mbarrier_arrive(empty);
    }
  }
  y[threadIdx.x] = sum;
}

// A product of tiles that the threads themselves have written.
template <bool fences, bool writes_all>
__global__ void wgmma_of_written(float* y) {
  char* tile = dynamic_shared<char>();
  for (int i = static_cast<int>(threadIdx.x); i < (writes_all ? 4096 : 4000); i += 128)
    reinterpret_cast<__nv_bfloat16*>(tile)[i] = __nv_bfloat16(1.0f);
  if (fences) ptx::fence_proxy_async();
  __syncthreads();
  float sums[32];
  ptx::wgmma_fence();
  const auto operand = ptx::wgmma_descriptor(tile + 96, 0, 1024, 128);
  ptx::wgmma_bf16<64>(sums, operand, operand, false);  // FAULT multiplies
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  y[threadIdx.x] = sums[0];
}

}  // namespace

TEST_CASE("checker: out of bounds of device memory, behind and before") {
  const Buffer<float> x(1000, 1.0f), y(32, 0.0f);
  check_clean(check_kernels([&] { launch(scale, 4, 256, 0, nullptr, x.data(), 1000); }));
  const CheckReport beyond = check_kernels([&] { launch(scale_beyond, 4, 256, 0, nullptr, x.data(), 1000); });
  check_found(beyond, FaultKind::out_of_bounds, "beyond");
  CHECK_MESSAGE(contains(beyond.findings[0].message, "writes 4 bytes at 4000 of allocation"), to_string(beyond));
  CHECK(contains(beyond.findings[0].message, "thread (232, 0, 0) of block (3, 0, 0)"));
  const CheckReport before =
      check_kernels([&] { launch(before_the_beginning, 1, 32, 0, nullptr, x.data(), y.data()); });
  check_found(before, FaultKind::out_of_bounds, "before");
}

TEST_CASE("checker: out of bounds of shared arrays, static and dynamic") {
  const Buffer<float> y(32, 0.0f);
  check_clean(check_kernels([&] { launch(shared_array<64>, 1, 32, 0, nullptr, y.data()); }));
  check_found(check_kernels([&] { launch(shared_array<65>, 1, 32, 0, nullptr, y.data()); }), FaultKind::out_of_bounds,
              "shared array");
  check_clean(check_kernels([&] { launch(dynamic_array, 1, 32, 128, nullptr, y.data()); }));
  check_found(check_kernels([&] { launch(dynamic_array, 1, 32, 120, nullptr, y.data()); }), FaultKind::out_of_bounds,
              "dynamic");
}

TEST_CASE("checker: use after free, and the host's memory") {
  const Buffer<float> x(32, 1.0f), y(32, 0.0f);
  std::vector<float> host(32);
  check_clean(check_kernels([&] { launch(copy, 1, 32, 0, nullptr, x.data(), y.data()); }));
  check_found(check_kernels([&] {
                float* freed = nullptr;
                cudaMalloc(&freed, 128);
                cudaFree(freed);
                launch(copy, 1, 32, 0, nullptr, freed, y.data());
              }),
              FaultKind::use_after_free, "copy");
  check_found(check_kernels([&] { launch(copy, 1, 32, 0, nullptr, host.data(), y.data()); }),
              FaultKind::not_device_memory, "copy");
}

TEST_CASE("checker: misaligned vector access") {
  const Buffer<float> x(32, 1.0f), y(32, 0.0f);
  check_clean(check_kernels([&] { launch(copy_vector, 1, 1, 0, nullptr, x.data(), y.data(), 4); }));
  check_found(check_kernels([&] { launch(copy_vector, 1, 1, 0, nullptr, x.data(), y.data(), 1); }),
              FaultKind::misaligned, "misaligned");
}

TEST_CASE("checker: reads of memory that nobody wrote") {
  const Buffer<float> y(64, 0.0f);
  float* fresh = nullptr;
  const auto copy_after = [&](std::size_t bytes) {
    const CheckReport report = check_kernels([&] {
      cudaMalloc(&fresh, 128);
      cudaMemset(fresh, 0, bytes);
      launch(copy, 1, 32, 0, nullptr, fresh, y.data());
    });
    cudaFree(fresh);
    return report;
  };
  check_clean(copy_after(128));
  const CheckReport report = copy_after(120);
  check_found(report, FaultKind::uninitialised, "copy");
  CHECK(report.findings[0].times == 2);
  check_clean(check_kernels([&] { launch(read_shared<true>, 2, 32, 0, nullptr, y.data()); }));
}

TEST_CASE("checker: reads of shared memory that the block has not written, though another has") {
  const Buffer<float> y(32, 0.0f);
  const CheckReport report = check_kernels([&] {
    launch(read_shared<true>, 1, 32, 0, nullptr, y.data());
    launch(read_shared<false>, 1, 32, 0, nullptr, y.data());
  });
  check_found(report, FaultKind::uninitialised, "uninitialised shared");
}

TEST_CASE("checker: races between threads of a block, with both lines") {
  const Buffer<float> x(64, 1.0f), y(64, 0.0f);
  check_clean(check_kernels([&] { launch(neighbour<true>, 1, 64, 0, nullptr, x.data(), y.data()); }));
  const CheckReport report = check_kernels([&] { launch(neighbour<false>, 1, 64, 0, nullptr, x.data(), y.data()); });
  check_among(report, FaultKind::shared_race, "neighbour");
  CHECK(contains(to_string(report), "of the same block wrote at"));
  check_clean(check_kernels([&] { launch(rounds<true>, 1, 64, 0, nullptr, x.data(), y.data()); }));
  check_among(check_kernels([&] { launch(rounds<false>, 1, 64, 0, nullptr, x.data(), y.data()); }),
              FaultKind::shared_race, "overwritten");
  const Buffer<std::uint16_t> h(64, std::uint16_t{0});
  check_clean(check_kernels([&] { launch(halves, 1, 64, 0, nullptr, h.data()); }));
}

TEST_CASE("checker: within a warp __syncwarp orders memory, a shuffle does not") {
  const Buffer<float> y(32, 0.0f);
  check_clean(check_kernels([&] { launch(within_a_warp<true>, 1, 32, 0, nullptr, y.data()); }));
  check_found(check_kernels([&] { launch(within_a_warp<false>, 1, 32, 0, nullptr, y.data()); }), FaultKind::shared_race,
              "within a warp");
}

TEST_CASE("checker: races between blocks, unless atomics and fences order them") {
  const Buffer<int> n(1, 0), arrived(1, 0);
  const Buffer<float> parts(8, 0.0f), sum(1, 0.0f);
  check_clean(check_kernels([&] { launch(count_all<true>, 8, 32, 0, nullptr, n.data()); }));
  check_clean(check_kernels([&] { launch(count_all<false>, 1, 32, 0, nullptr, n.data()); }));
  check_found(check_kernels([&] { launch(count_all<false>, 8, 32, 0, nullptr, n.data()); }), FaultKind::global_race,
              "blocks");
  check_clean(
      check_kernels([&] { launch(last_block<true>, 8, 32, 0, nullptr, parts.data(), arrived.data(), sum.data()); }));
  CHECK(sum.values()[0] == 8.0f);
  cudaMemset(arrived.data(), 0, 4);
  check_found(
      check_kernels([&] { launch(last_block<false>, 8, 32, 0, nullptr, parts.data(), arrived.data(), sum.data()); }),
      FaultKind::global_race, "unpublished");
}

TEST_CASE("checker: two launches are ordered") {
  const Buffer<float> x(64, 1.0f);
  check_clean(check_kernels([&] {
    launch(scale, 2, 32, 0, nullptr, x.data(), 64);
    launch(scale, 1, 64, 0, nullptr, x.data(), 64);
  }));
}

TEST_CASE("checker: shared memory that a cp.async is still to write") {
  const Buffer<float> x(128, 1.0f), y(32, 0.0f);
  check_clean(check_kernels([&] { launch(prefetch<true>, 1, 32, 0, nullptr, x.data(), y.data()); }));
  check_found(check_kernels([&] { launch(prefetch<false>, 1, 32, 0, nullptr, x.data(), y.data()); }),
              FaultKind::async_copy, "not waited for");
}

TEST_CASE("checker: TMA's copies are ordered by the phases of mbarriers, and by nothing else") {
  const Buffer<float> x(512, 1.0f), y(160, 0.0f);
  RingMap m{};
  const cuuint64_t sizes[] = {32, 16}, strides[] = {128};
  const cuuint32_t box[] = {32, 4}, ones[] = {1, 1};
  REQUIRE(cuTensorMapEncodeTiled(&m.map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 2, x.data(), sizes, strides, box, ones,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
                                 CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS);
  const auto run = [&](auto kernel) {
    return check_kernels([&] { launch(kernel, 1, 160, 512 + 16, nullptr, m, y.data()); });
  };
  check_clean(run(tma_ring<Ring::right>));
  CHECK(y.values()[5] == 3.0f);
  check_among(run(tma_ring<Ring::no_wait>), FaultKind::shared_race, "reads early");
  check_among(run(tma_ring<Ring::hands_back_early>), FaultKind::shared_race, "overwrites");
}

TEST_CASE("checker: wgmma's operands must have been written, and shown to it by a fence") {
  const Buffer<float> y(128, 0.0f);
  const auto run = [&](auto kernel) { return check_kernels([&] { launch(kernel, 1, 128, 8192, nullptr, y.data()); }); };
  check_clean(run(wgmma_of_written<true, true>));
  CHECK(y.values()[127] == 16.0f);
  check_found(run(wgmma_of_written<false, true>), FaultKind::async_proxy, "multiplies");
  check_found(run(wgmma_of_written<true, false>), FaultKind::uninitialised, "multiplies");
}

TEST_CASE("checker: barriers and lanes that are missed") {
  const Buffer<float> y(32, 0.0f);
  check_clean(check_kernels([&] { launch(conditional_barrier<true>, 1, 32, 0, nullptr, y.data()); }));
  check_found(check_kernels([&] { launch(conditional_barrier<false>, 1, 32, 0, nullptr, y.data()); }),
              FaultKind::synchronisation, "barrier");
  check_clean(check_kernels([&] { launch(conditional_shuffle<true>, 1, 32, 0, nullptr, y.data()); }));
  check_found(check_kernels([&] { launch(conditional_shuffle<false>, 1, 32, 0, nullptr, y.data()); }),
              FaultKind::synchronisation, "lane");
}

TEST_CASE(
    "checker: an unpadded 32 x 32 tile read by columns has a 32-way bank conflict on its line, a padded one none") {
  const Buffer<float> x(64 * 64, 1.0f), y(64 * 64, 0.0f);
  const CheckReport unpadded =
      check_kernels([&] { launch(transpose<32>, dim3(2, 2), dim3(32, 8), 0, nullptr, x.data(), y.data(), 64); });
  check_clean(unpadded);
  const LineReport* column = line_report(unpadded, "column", true, false);
  REQUIRE(column);
  CHECK(column->bank_conflict_ways() == 32.0);
  CHECK(unpadded.kernels[0].static_shared == 4096);
  const LineReport* store = line_report(unpadded, "column", false, true);
  REQUIRE(store);
  CHECK(store->sectors_per_request() == 4.0);
  CHECK(store->requests == 64 * 64 / 32);
  const CheckReport padded =
      check_kernels([&] { launch(transpose<33>, dim3(2, 2), dim3(32, 8), 0, nullptr, x.data(), y.data(), 64); });
  column = line_report(padded, "column", true, false);
  REQUIRE(column);
  CHECK(column->bank_conflict_ways() == 1.0);
  CHECK(contains(to_string(unpadded), "32.0-way bank conflict"));
}

TEST_CASE("checker: sectors of a strided and of a vector access") {
  const Buffer<float> x(32 * 8, 1.0f), y(128, 0.0f);
  const CheckReport one = check_kernels([&] { launch(strided, 1, 32, 0, nullptr, x.data(), y.data(), 1); });
  const CheckReport eight = check_kernels([&] { launch(strided, 1, 32, 0, nullptr, x.data(), y.data(), 8); });
  CHECK(line_report(one, "strided", false, false)->sectors_per_request() == 4.0);
  CHECK(line_report(eight, "strided", false, false)->sectors_per_request() == 32.0);
  CHECK(line_report(eight, "strided", false, false)->bytes_needed == 128);
  const CheckReport v = check_kernels([&] {
    launch(vectors, 1, 32, 0, nullptr, reinterpret_cast<const float4*>(x.data()), reinterpret_cast<float4*>(y.data()));
  });
  check_clean(v);
  REQUIRE(v.kernels.size() == 1);
  for (const LineReport& l : v.kernels[0].lines) {
    CHECK(l.bytes == 16);
    CHECK(l.sectors_per_request() == 16.0);
  }
}

TEST_CASE("checker: parts of an allocation that were given out have bounds of their own") {
  const Buffer<float> pool(1024, 1.0f), y(32, 0.0f);
  const auto run = [&](std::size_t bytes, bool taken_back) {
    return check_kernels([&] {
      block_given(pool.data(), bytes);
      cudaMemset(pool.data(), 0, bytes);
      if (taken_back) block_taken_back(pool.data());
      launch(copy, 1, 32, 0, nullptr, pool.data(), y.data());
      block_taken_back(pool.data());
    });
  };
  check_clean(run(128, false));
  check_found(run(120, false), FaultKind::out_of_bounds, "copy");
  check_found(run(128, true), FaultKind::use_after_free, "copy");
}

TEST_CASE("checker: registers are read from what nvcc prints, and limit the occupancy") {
  const std::string path = std::filesystem::temp_directory_path() / "gradus_checker_test_ptxas";
  std::ofstream(path) << "ptxas info    : Compiling entry function '_ZN6gradus5scaleIfEEvPfi' for 'sm_90a'\n"
                         "ptxas info    : Function properties for _ZN6gradus5scaleIfEEvPfi\n"
                         "ptxas info    : Used 128 registers, used 0 barriers\n";
  const Registers registers = registers_of(path);
  std::remove(path.c_str());
  CHECK(registers == Registers{{"gradus::scale<float>", 128}});
  CheckReport report;
  report.kernels.push_back({.kernel = "gradus::scale<float>", .grid = 1, .block = 256, .launches = 1, .lines = {}});
  CHECK(
      contains(to_string(report, "H100", registers), "2 blocks = 512 of 2048 threads, limited by registers (128 reg"));
  CHECK_THROWS_WITH_AS((void)registers_of("/no/such/file"), doctest::Contains("registers: cannot read"), ValueError);
}

TEST_CASE("docs/checker.md shows the program that is compiled and run here") {
  const auto text = [](const char* path) {
    std::ifstream in(path);
    REQUIRE_MESSAGE(in.good(), path);
    return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  };
  CHECK(contains(text("docs/checker.md"), "```cpp\n" + text("cuda/simt/example/check_transpose.cu") + "```"));
}

TEST_CASE("occupancy: by threads, blocks, shared memory and registers") {
  CHECK(occupancy(gpu_named("H100"), 256, 0).blocks == 8);
  CHECK(occupancy(gpu_named("H100"), 32, 0).limit == "blocks");
  CHECK(occupancy(gpu_named("H100"), 128, 100'000).blocks == 2);
  CHECK(occupancy(gpu_named("H100"), 128, 100'000).limit == "shared memory");
  CHECK(occupancy(gpu_named("A100"), 256, 0, 128).blocks == 2);
  CHECK(occupancy(gpu_named("A100"), 256, 0, 128).limit == "registers");
  CHECK_THROWS_WITH_AS((void)gpu_named("TPU"), doctest::Contains("gpu: unknown name \"TPU\""), ValueError);
}

}  // namespace gradus::simt::test
