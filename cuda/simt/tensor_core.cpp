#include "cuda/simt/tensor_core.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "cuda/simt/block.hpp"
#include "cuda/simt/half.hpp"
#include "cuda/simt/observer.hpp"
#include "cuda/simt/warp_finish.hpp"

namespace gradus::simt {
namespace {

constexpr std::uint32_t kWholeWarp = 0xffffffffu;

struct LdmatrixOperand : WarpOperand {
  int matrices;
  bool transposed;
  std::uint32_t* registers;
  const void* row;
};

struct MmaOperand : WarpOperand {
  MmaKind kind;
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

void whole_warp(const char* what, const Where& where) {
  if (executor->current->warp->exists != kWholeWarp)
    executor->fault(fmt::format("{}: takes a whole warp, but the block's last one has {} threads\n  at {}:{}", what,
                                std::popcount(executor->current->warp->exists), where.file, where.line));
}

bool aligned(const void* p, int bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % static_cast<unsigned>(bytes) == 0;
}

/// d += a b on matrices gathered from the lanes: a 16 x K, b K x 8.
template <int K>
void multiply(const float (&a)[16][K], const float (&b)[K][8], double (&d)[16][8]) {
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < K; ++k) {
      const double x = a[i][k];
      for (int j = 0; j < 8; ++j) d[i][j] += x * static_cast<double>(b[k][j]);
    }
}

/// The 16-bit forms: each register holds columns (a) or rows (b) 2 t and 2 t + 1 of its 8.
template <float value(std::uint16_t)>
void mma_16bit(Warp& warp, double (&d)[16][8]) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& operand = warp.operand<MmaOperand>(lane);
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; ++half) {
      const auto element = [&](std::uint32_t r) { return value(static_cast<std::uint16_t>(r >> (16 * half))); };
      const int k = 2 * t + half;
      a[g][k] = element(operand.a[0]);
      a[g + 8][k] = element(operand.a[1]);
      a[g][k + 8] = element(operand.a[2]);
      a[g + 8][k + 8] = element(operand.a[3]);
      b[k][g] = element(operand.b[0]);
      b[k + 8][g] = element(operand.b[1]);
    }
  }
  multiply(a, b, d);
}

void mma_tf32(Warp& warp, double (&d)[16][8]) {
  const auto value = [](std::uint32_t r) { return std::bit_cast<float>(r & 0xffffe000u); };
  float a[16][8], b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& operand = warp.operand<MmaOperand>(lane);
    const int g = lane / 4, t = lane % 4;
    a[g][t] = value(operand.a[0]);
    a[g + 8][t] = value(operand.a[1]);
    a[g][t + 4] = value(operand.a[2]);
    a[g + 8][t + 4] = value(operand.a[3]);
    b[t][g] = value(operand.b[0]);
    b[t + 4][g] = value(operand.b[1]);
  }
  multiply(a, b, d);
}

void copy_now(const AsyncCopy& copy) {
  auto* to = static_cast<char*>(copy.to);
  std::memcpy(to, copy.from, static_cast<std::size_t>(copy.source_bytes));
  std::memset(to + copy.source_bytes, 0, static_cast<std::size_t>(copy.bytes - copy.source_bytes));
  if (observer) observer->async_copy_arrives(*executor, copy);
}

}  // namespace

void ldmatrix(int matrices, bool transposed, std::uint32_t* registers, const void* row, const Where& where) {
  const OutsideKernel outside(*executor->current);
  whole_warp("ldmatrix", where);
  const bool gives_row = executor->current->lane < 8 * matrices;
  if (gives_row && !aligned(row, 16))
    executor->fault(
        fmt::format("ldmatrix: rows must be aligned to 16 bytes, got {}\n  at {}:{}", row, where.file, where.line));
  if (gives_row && observer) observer->ldmatrix_row(*executor, *executor->current, row, where);
  LdmatrixOperand operand{{}, matrices, transposed, registers, row};
  collective(Collective::ldmatrix, kWholeWarp, operand, where);
}

void finish_ldmatrix(Executor& e, Warp& warp) {
  const int matrices = warp.operand<LdmatrixOperand>(0).matrices;
  const bool transposed = warp.operand<LdmatrixOperand>(0).transposed;
  for (int lane = 1; lane < 32; ++lane)
    if (warp.operand<LdmatrixOperand>(lane).matrices != matrices ||
        warp.operand<LdmatrixOperand>(lane).transposed != transposed)
      e.fault("ldmatrix: the lanes of a warp call different forms of it");
  std::uint16_t m[4][8][8];
  for (int i = 0; i < 8 * matrices; ++i) std::memcpy(m[i / 8][i % 8], warp.operand<LdmatrixOperand>(i).row, 16);
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < matrices; ++i) {
      const std::uint32_t low = transposed ? m[i][2 * t][g] : m[i][g][2 * t];
      const std::uint32_t high = transposed ? m[i][2 * t + 1][g] : m[i][g][2 * t + 1];
      warp.operand<LdmatrixOperand>(lane).registers[i] = high << 16 | low;
    }
  }
}

void mma(MmaKind kind, float* d, const std::uint32_t* a, const std::uint32_t* b, const Where& where) {
  const OutsideKernel outside(*executor->current);
  whole_warp("mma.sync", where);
  MmaOperand operand{{}, kind, d, a, b};
  collective(Collective::mma, kWholeWarp, operand, where);
}

void finish_mma(Warp& warp) {
  double d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const float* r = warp.operand<MmaOperand>(lane).d;
    const int g = lane / 4, t = lane % 4;
    d[g][2 * t] = r[0], d[g][2 * t + 1] = r[1];
    d[g + 8][2 * t] = r[2], d[g + 8][2 * t + 1] = r[3];
  }
  switch (warp.operand<MmaOperand>(0).kind) {
    case MmaKind::bf16_m16n8k16: mma_16bit<bf16_value>(warp, d); break;
    case MmaKind::f16_m16n8k16: mma_16bit<half_value>(warp, d); break;
    case MmaKind::tf32_m16n8k8: mma_tf32(warp, d); break;
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* r = warp.operand<MmaOperand>(lane).d;
    const int g = lane / 4, t = lane % 4;
    r[0] = truncated(d[g][2 * t]), r[1] = truncated(d[g][2 * t + 1]);
    r[2] = truncated(d[g + 8][2 * t]), r[3] = truncated(d[g + 8][2 * t + 1]);
  }
}

void cp_async(void* shared, const void* global, int bytes, int source_bytes, const Where& where) {
  const OutsideKernel outside(*executor->current);
  if (!aligned(shared, bytes) || (source_bytes > 0 && !aligned(global, bytes)))
    executor->fault(
        fmt::format("cp.async: both addresses must be aligned to the {} bytes copied, got {} <- {}\n  at {}:{}", bytes,
                    shared, global, where.file, where.line));
  Thread& thread = *executor->current;
  thread.copies.push_back({shared, global, bytes, source_bytes, thread.open_group, where});
  if (observer) observer->async_copy_begins(*executor, thread.copies.back());
}

void cp_async_commit() { ++executor->current->open_group; }

void cp_async_wait(int groups_left, const Where&) {
  const OutsideKernel outside(*executor->current);
  Thread& thread = *executor->current;
  const int arrived = groups_left < 0 ? thread.open_group + 1 : thread.open_group - groups_left;  // groups below it
  std::size_t done = 0;
  while (done < thread.copies.size() && thread.copies[done].group < arrived) copy_now(thread.copies[done++]);
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace gradus::simt
