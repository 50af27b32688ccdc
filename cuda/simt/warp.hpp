#pragma once
// Warp collectives. Each is a rendezvous: a lane waits until all lanes of its mask have come to the same collective
// with the same mask. A lane that never comes is an error that names the lanes (simt/block.hpp).
//
// __shfl from a lane outside the mask, undefined in CUDA, gives a NaN (all bits set but the lowest mantissa bits), so
// that using it shows. __activemask() is the calling lane alone: of the answers CUDA allows, the one that cannot
// deadlock. Of the collectives only __syncwarp orders memory, as in CUDA.

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/simt/thread.hpp"

namespace gradus::simt {

enum class Collective : unsigned char {
  syncwarp,
  shfl,
  shfl_up,
  shfl_down,
  shfl_xor,
  ballot,
  any,
  all,
  match_any,
  match_all,
  reduce_add,
  reduce_min,
  reduce_max,
  reduce_umin,
  reduce_umax,
  reduce_and,
  reduce_or,
  reduce_xor,
  ldmatrix,
  mma,
  wgmma,
  coalesced_threads,  // of cooperative groups: ends when the warp cannot go on without it
};
const char* name(Collective);

int lane_id();

/// A lane's part in a collective: lives on the lane's stack while it waits.
struct WarpOperand {
  std::uint64_t value = 0;   // goes in; the lane's bits
  std::uint64_t result = 0;  // comes out
  int source = 0;            // shfl: the lane to read, or -1 for one outside the warp
  int extra = 0;             // match_all: the predicate
};
void collective(Collective op, std::uint32_t mask, WarpOperand& operand, const Where& where);

template <class T>
inline std::uint64_t to_bits(T v) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "a warp exchanges values of at most 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof v);
  return bits;
}
template <class T>
inline T from_bits(std::uint64_t bits) {
  T v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

/// Segments of `width` lanes: first and last lane of the calling lane's.
inline int segment_begin(int lane, int width) { return lane & ~(width - 1); }

template <class T>
inline T shuffle(Collective op, std::uint32_t mask, T value, int source, const Where& where) {
  WarpOperand operand{.value = to_bits(value), .source = source};
  collective(op, mask, operand, where);
  return from_bits<T>(operand.result);
}

inline std::uint64_t gather(Collective op, std::uint32_t mask, std::uint64_t value, const Where& where) {
  WarpOperand operand{.value = value};
  collective(op, mask, operand, where);
  return operand.result;
}

}  // namespace gradus::simt

inline void __syncwarp(unsigned mask = 0xffffffffu, const gradus::simt::Where& where = gradus::simt::Where::current()) {
  gradus::simt::gather(gradus::simt::Collective::syncwarp, mask, 0, where);
}
inline unsigned __activemask() { return 1u << gradus::simt::lane_id(); }

template <class T>
inline T __shfl_sync(unsigned mask, T v, int source, int width = warpSize,
                     const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  const int begin = segment_begin(lane_id(), width);
  return shuffle(Collective::shfl, mask, v, begin + (source & (width - 1)), where);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = warpSize,
                        const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  const int lane = lane_id(), source = lane - static_cast<int>(delta);
  return shuffle(Collective::shfl_up, mask, v, source < segment_begin(lane, width) ? lane : source, where);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = warpSize,
                          const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  const int lane = lane_id(), source = lane + static_cast<int>(delta);
  return shuffle(Collective::shfl_down, mask, v, source >= segment_begin(lane, width) + width ? lane : source, where);
}
/// A lane of an earlier segment can be read, one of a later segment cannot: the lane then gets its own value.
template <class T>
inline T __shfl_xor_sync(unsigned mask, T v, int lane_mask, int width = warpSize,
                         const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  const int lane = lane_id(), source = lane ^ lane_mask;
  return shuffle(Collective::shfl_xor, mask, v, source >= segment_begin(lane, width) + width ? lane : source, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  return static_cast<unsigned>(gather(Collective::ballot, mask, predicate != 0, where));
}
inline int __any_sync(unsigned mask, int predicate, const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  return static_cast<int>(gather(Collective::any, mask, predicate != 0, where));
}
inline int __all_sync(unsigned mask, int predicate, const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  return static_cast<int>(gather(Collective::all, mask, predicate != 0, where));
}

/// The lanes of the mask that hold the same bits as this one.
template <class T>
inline unsigned __match_any_sync(unsigned mask, T v,
                                 const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  return static_cast<unsigned>(gather(Collective::match_any, mask, to_bits(v), where));
}
/// The mask, and *predicate 1, if all lanes hold the same bits; else 0 and 0.
template <class T>
inline unsigned __match_all_sync(unsigned mask, T v, int* predicate,
                                 const gradus::simt::Where& where = gradus::simt::Where::current()) {
  using namespace gradus::simt;
  const auto lanes = static_cast<unsigned>(gather(Collective::match_all, mask, to_bits(v), where));
  *predicate = lanes != 0;
  return lanes;
}

#define GRADUS_SIMT_REDUCE(function, T, kind)                                                                \
  inline T function(unsigned mask, T v, const gradus::simt::Where& where = gradus::simt::Where::current()) { \
    using namespace gradus::simt;                                                                            \
    return static_cast<T>(gather(Collective::kind, mask, to_bits(v), where));                                \
  }
GRADUS_SIMT_REDUCE(__reduce_add_sync, unsigned, reduce_add)
GRADUS_SIMT_REDUCE(__reduce_add_sync, int, reduce_add)
GRADUS_SIMT_REDUCE(__reduce_min_sync, unsigned, reduce_umin)
GRADUS_SIMT_REDUCE(__reduce_min_sync, int, reduce_min)
GRADUS_SIMT_REDUCE(__reduce_max_sync, unsigned, reduce_umax)
GRADUS_SIMT_REDUCE(__reduce_max_sync, int, reduce_max)
GRADUS_SIMT_REDUCE(__reduce_and_sync, unsigned, reduce_and)
GRADUS_SIMT_REDUCE(__reduce_or_sync, unsigned, reduce_or)
GRADUS_SIMT_REDUCE(__reduce_xor_sync, unsigned, reduce_xor)
#undef GRADUS_SIMT_REDUCE
