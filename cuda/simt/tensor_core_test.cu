// ldmatrix, mma.sync and cp.async against plain loops; rounding to the 16-bit formats and TF32.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "cuda/ptx.cuh"
#include "cuda/simt/test_support.cuh"

namespace gradus::simt::test {
namespace {

using cuda::launch;

constexpr int kM = 16, kN = 8;

// d [16, 8] = a [16, K] b [K, 8], a row-major, b column-major ([8, K]): fragments through ldmatrix where they are 16
// bit.
template <class T>
__global__ void multiply_16bit(const T* a, const T* b, float* d) {
  __shared__ __align__(16) T sa[kM][16];
  __shared__ __align__(16) T sb[kN][16];
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  for (int i = lane; i < kM * 16; i += 32) sa[i / 16][i % 16] = a[i];
  for (int i = lane; i < kN * 16; i += 32) sb[i / 16][i % 16] = b[i];
  __syncwarp();
  std::uint32_t ra[4], rb[2];
  ptx::ldmatrix_x4(ra, &sa[lane % 16][lane / 16 * 8]);
  ptx::ldmatrix_x2(rb, &sb[lane % 8][lane / 8 % 2 * 8]);
  float acc[4] = {};
  if constexpr (std::is_same_v<T, __half>)
    ptx::mma_m16n8k16_f16(acc, ra, rb);
  else
    ptx::mma_m16n8k16_bf16(acc, ra, rb);
  d[g * kN + 2 * t] = acc[0], d[g * kN + 2 * t + 1] = acc[1];
  d[(g + 8) * kN + 2 * t] = acc[2], d[(g + 8) * kN + 2 * t + 1] = acc[3];
}

__global__ void multiply_tf32(const float* a, const float* b, float* d) {
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  const std::uint32_t ra[4] = {ptx::cvt_rna_tf32(a[g * 8 + t]), ptx::cvt_rna_tf32(a[(g + 8) * 8 + t]),
                               ptx::cvt_rna_tf32(a[g * 8 + t + 4]), ptx::cvt_rna_tf32(a[(g + 8) * 8 + t + 4])};
  const std::uint32_t rb[2] = {ptx::cvt_rna_tf32(b[g * 8 + t]), ptx::cvt_rna_tf32(b[g * 8 + t + 4])};
  float acc[4] = {};
  ptx::mma_m16n8k8_tf32(acc, ra, rb);
  d[g * kN + 2 * t] = acc[0], d[g * kN + 2 * t + 1] = acc[1];
  d[(g + 8) * kN + 2 * t] = acc[2], d[(g + 8) * kN + 2 * t + 1] = acc[3];
}

// One 8x8 matrix through ldmatrix.trans: its transpose, gathered from the registers.
__global__ void transpose(const std::uint16_t* x, std::uint16_t* y) {
  __shared__ __align__(16) std::uint16_t s[8][8];
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  for (int i = lane; i < 64; i += 32) s[i / 8][i % 8] = x[i];
  __syncwarp();
  std::uint32_t r[1];
  ptx::ldmatrix_x1_trans(r, s[lane % 8]);
  y[g * 8 + 2 * t] = static_cast<std::uint16_t>(r[0] & 0xffffu);
  y[g * 8 + 2 * t + 1] = static_cast<std::uint16_t>(r[0] >> 16);
}

// Two groups of copies; what each wait has brought, and what it has not.
__global__ void copy_in_groups(const float* x, float* seen) {
  __shared__ __align__(16) float s[3][4];
  if (threadIdx.x != 0) return;
  for (int i = 0; i < 12; ++i) s[i / 4][i % 4] = -1.0f;
  ptx::cp_async<16>(s[0], x);
  ptx::cp_async_commit();
  ptx::cp_async<4>(&s[1][0], x + 4);
  ptx::cp_async<8>(&s[1][2], x + 6, false);
  ptx::cp_async_commit();
  ptx::cp_async<16>(s[2], x + 8);
  seen[0] = s[0][0];
  ptx::cp_async_wait<1>();
  seen[1] = s[0][0], seen[2] = s[0][3], seen[3] = s[1][0];
  ptx::cp_async_wait<0>();
  seen[4] = s[1][0], seen[5] = s[1][1], seen[6] = s[1][2], seen[7] = s[1][3], seen[8] = s[2][0];
  ptx::cp_async_wait_all();
  seen[9] = s[2][0];
}

__global__ void misaligned_copy(const float* x) {
  __shared__ __align__(16) float s[8];
  ptx::cp_async<16>(&s[1], x);
}

__global__ void ldmatrix_in_part_of_a_warp() {
  __shared__ __align__(16) std::uint16_t s[8][8];
  std::uint32_t r[1];
  ptx::ldmatrix_x1(r, s[threadIdx.x % 8]);
}

__global__ void round_to_tf32(float* x) { x[threadIdx.x] = __uint_as_float(ptx::cvt_rna_tf32(x[threadIdx.x])); }

template <class T>
void check_product(int k, double tolerance, const std::vector<T>& a, const std::vector<T>& b,
                   const std::vector<float>& d) {
  for (int i = 0; i < kM; ++i)
    for (int j = 0; j < kN; ++j) {
      double sum = 0, scale = 0;
      for (int l = 0; l < k; ++l) {
        const double p = static_cast<double>(static_cast<float>(a[static_cast<std::size_t>(i * k + l)])) *
                         static_cast<double>(static_cast<float>(b[static_cast<std::size_t>(j * k + l)]));
        sum += p, scale += std::fabs(p);
      }
      CHECK(std::fabs(static_cast<double>(d[static_cast<std::size_t>(i * kN + j)]) - sum) <= tolerance * scale);
    }
}

template <class T>
std::vector<T> random_values(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<T> v(n);
  for (T& x : v) x = T(normal(engine));
  return v;
}

}  // namespace

TEST_CASE("mma.sync m16n8k16: bf16 and half products through ldmatrix, exact but for one rounding") {
  const auto run = [](auto zero) {
    using T = decltype(zero);
    const auto a = random_values<T>(kM * 16, 1), b = random_values<T>(kN * 16, 2);
    const Buffer<T> da(a), db(b);
    const Buffer<float> d(kM * kN, 0.0f);
    launch(multiply_16bit<T>, 1, 32, 0, nullptr, da.data(), db.data(), d.data());
    check_product(16, 0x1p-22, a, b, d.values());
  };
  run(__nv_bfloat16(0));
  run(__half(0));
}

TEST_CASE("mma.sync m16n8k8: TF32 keeps ten bits of each factor") {
  const auto a = random_values<float>(kM * 8, 1), b = random_values<float>(kN * 8, 2);
  const Buffer<float> da(a), db(b), d(kM * kN, 0.0f);
  launch(multiply_tf32, 1, 32, 0, nullptr, da.data(), db.data(), d.data());
  check_product(8, 0x1p-10, a, b, d.values());
}

TEST_CASE("ldmatrix.trans: transposes an 8x8 matrix") {
  std::vector<std::uint16_t> x(64), expected(64);
  for (std::size_t i = 0; i < 64; ++i) x[i] = static_cast<std::uint16_t>(i), expected[i % 8 * 8 + i / 8] = x[i];
  const Buffer<std::uint16_t> dx(x), dy(64, std::uint16_t{0});
  launch(transpose, 1, 32, 0, nullptr, dx.data(), dy.data());
  CHECK(dy.values() == expected);
}

TEST_CASE("ldmatrix: is an error in a warp that is not whole") {
  CHECK(contains(error_of([] { launch(ldmatrix_in_part_of_a_warp, 1, 40, 0, nullptr); }),
                 "ldmatrix: takes a whole warp, but the block's last one has 8 threads"));
}

TEST_CASE("cp.async: data arrives with the wait for its group and not before; an invalid source is zeros") {
  std::vector<float> x(12);
  for (std::size_t i = 0; i < 12; ++i) x[i] = static_cast<float>(i + 1);
  const Buffer<float> dx(x), seen(10, 0.0f);
  launch(copy_in_groups, 1, 32, 0, nullptr, dx.data(), seen.data());
  CHECK(seen.values() == std::vector<float>{-1, 1, 4, -1, 5, -1, 0, 0, -1, 9});
}

TEST_CASE("cp.async: misaligned addresses are an error") {
  const Buffer<float> x(8, 0.0f);
  CHECK(contains(error_of([&] { launch(misaligned_copy, 1, 1, 0, nullptr, x.data()); }),
                 "cp.async: both addresses must be aligned to the 16 bytes copied"));
}

TEST_CASE("bf16 and half: conversion rounds to nearest even, and every value survives the way there and back") {
  CHECK(__bfloat16_as_ushort(__float2bfloat16_rn(1.00390625f)) == 0x3f80);  // halfway between 1 and the next: even is 1
  CHECK(__bfloat16_as_ushort(__float2bfloat16_rn(1.01171875f)) == 0x3f82);
  CHECK(__half_as_ushort(__float2half_rn(1.00048828125f)) == 0x3c00);
  CHECK(__half_as_ushort(__float2half_rn(65519.0f)) == 0x7bff);
  CHECK(__half_as_ushort(__float2half_rn(65520.0f)) == 0x7c00);
  CHECK(__half_as_ushort(__float2half_rn(0x1p-25f)) == 0);
  CHECK(__half_as_ushort(__float2half_rn(0x1.8p-25f)) == 1);
  CHECK(__half_as_ushort(__float2half_rn(-0x1p-14f)) == 0x8400);
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto b = __ushort_as_bfloat16(static_cast<unsigned short>(bits));
    const auto h = __ushort_as_half(static_cast<unsigned short>(bits));
    if (static_cast<float>(b) == static_cast<float>(b)) REQUIRE(__bfloat16_as_ushort(__float2bfloat16_rn(b)) == bits);
    if (static_cast<float>(h) == static_cast<float>(h)) REQUIRE(__half_as_ushort(__float2half_rn(h)) == bits);
  }
}

TEST_CASE("cvt.rna.tf32: keeps ten bits, halves away from zero") {
  const Buffer<float> x(std::vector<float>{1.0f, 1.0f + 0x1p-11f, -1.0f - 0x1p-11f, 1.0f + 0x1.8p-12f, HUGE_VALF, NAN});
  launch(round_to_tf32, 1, 6, 0, nullptr, x.data());
  const auto y = x.values();
  CHECK(y[0] == 1.0f);
  CHECK(y[1] == 1.0f + 0x1p-10f);
  CHECK(y[2] == -1.0f - 0x1p-10f);
  CHECK(y[3] == 1.0f);
  CHECK(y[4] == HUGE_VALF);
  CHECK(std::isnan(y[5]));
}

}  // namespace gradus::simt::test
