#pragma once
// wgmma.mma_async (sm_90a), for cuda/ptx_sm90.cuh: four warps multiply tiles that lie in shared memory.
//
// A warp computes its sixteen rows when it waits, and not before: until then its accumulators hold a NaN. The operands
// are read when the instruction is issued and compared when it is done, so writing over them in between shows.
//
// A descriptor says where an operand lies: 8x16-byte pieces (core matrices) at two strides, under a swizzle. It is
// decoded as the hardware does (PTX ISA, "Matrix descriptor"; the canonical layouts as NVIDIA's CUTLASS lists them).
//
// Misuse ends the launch: a block without whole warpgroups, the warps of one that issue different instructions,
// descriptors that reach out of the dynamic shared memory or begin within their swizzle's pattern, a first use of
// accumulators without wgmma.fence, accumulators or operands written while they are in use.
//
// Sums round as those of mma.sync do here (simt/tensor_core.hpp).

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "cuda/simt/thread.hpp"

namespace gradus::simt {

enum class WgmmaKind : unsigned char { bf16, tf32 };

/// d [64, n] += a [64, depth] b [depth, n], with depth 16 for bf16 and 8 for TF32.
struct WgmmaForm {
  WgmmaKind kind;
  int n;
  bool accumulate;              // else d = a b
  bool a_mn_major, b_mn_major;  // neighbours in memory are neighbours along m (n); else along the depth
  std::uint64_t a, b;           // descriptors
  bool operator==(const WgmmaForm&) const = default;
};

/// What the warps of a block have under way.
class Wgmma {
 public:
  struct Job;
  Wgmma();
  ~Wgmma();
  void clear();
  /// What is wrong with a block that has ended; empty if nothing is.
  std::string left_text() const;

  struct OfWarp;
  std::array<std::unique_ptr<OfWarp>, 32> warps;
  struct Issued {
    WgmmaForm form;
    Where where;
  };
  std::array<std::vector<Issued>, 8> issued;  // by warpgroup: what its first warp to come has issued
};

/// The part of a shared address that a descriptor holds: bytes from the beginning of dynamic shared memory.
std::uint32_t shared_offset(const void* p, const Where& where);
/// d: this thread's n / 2 accumulators.
void wgmma(const WgmmaForm& form, float* d, const Where& where);
void wgmma_fence(const Where& where);
void wgmma_commit(const Where& where);
void wgmma_wait(int groups_left, const Where& where);

}  // namespace gradus::simt
