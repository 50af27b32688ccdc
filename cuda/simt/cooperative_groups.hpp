#pragma once
// Cooperative groups under CUDA's own names: groups of threads as values, with ranks, synchronisation and collectives.
//
// Here: this_thread_block, tiled_partition<1 … 32>, coalesced_threads, labeled_partition, cg::reduce, cg::sync. A
// group's collectives are the warp's (simt/warp.hpp) with ranks in the place of lanes, so a member that does not come
// is found in the same way.
//
// coalesced_threads() gathers the lanes that come to its line before the others of their warp must wait or have ended:
// an answer CUDA allows, and the same in every run. this_grid() numbers the grid's threads; its sync() wants a
// cooperative launch, which cuda/launch.cuh does not make, so it ends the launch with an error that says so.

#include <bit>
#include <cstdint>

#include "cuda/simt/device.hpp"

namespace cooperative_groups {

using Where = gradus::simt::Where;

namespace detail {

inline unsigned lane() { return static_cast<unsigned>(gradus::simt::lane_id()); }
inline unsigned block_size() { return blockDim.x * blockDim.y * blockDim.z; }
inline unsigned block_rank() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
/// The lane that is the rank-th of a mask's.
inline int lane_of(unsigned mask, unsigned rank) {
  for (; rank != 0; --rank) mask &= mask - 1;
  return std::countr_zero(mask);
}
/// Of a vote's bits by lane, those of the mask, by rank.
inline unsigned by_rank(unsigned votes, unsigned mask) {
  unsigned result = 0;
  for (unsigned rank = 0; mask != 0; mask &= mask - 1, ++rank) result |= (votes >> std::countr_zero(mask) & 1u) << rank;
  return result;
}

/// Some lanes of a warp: what tiles and coalesced groups have in common.
class Lanes {
 public:
  unsigned size() const { return static_cast<unsigned>(std::popcount(mask_)); }
  unsigned num_threads() const { return size(); }
  unsigned thread_rank() const { return static_cast<unsigned>(std::popcount(mask_ & ((1u << lane()) - 1u))); }
  unsigned meta_group_rank() const { return meta_rank_; }
  unsigned meta_group_size() const { return meta_size_; }
  void sync(const Where& where = Where::current()) const { __syncwarp(mask_, where); }

  template <class T>
  T shfl(T v, int rank, const Where& where = Where::current()) const {
    return __shfl_sync(mask_, v, lane_of(mask_, static_cast<unsigned>(rank) % size()), warpSize, where);
  }
  /// From `delta` ranks below (above); a thread that has none there gets its own value.
  template <class T>
  T shfl_up(T v, unsigned delta, const Where& where = Where::current()) const {
    const unsigned rank = thread_rank();
    return __shfl_sync(mask_, v, lane_of(mask_, rank < delta ? rank : rank - delta), warpSize, where);
  }
  template <class T>
  T shfl_down(T v, unsigned delta, const Where& where = Where::current()) const {
    const unsigned rank = thread_rank();
    return __shfl_sync(mask_, v, lane_of(mask_, rank + delta < size() ? rank + delta : rank), warpSize, where);
  }
  int any(int predicate, const Where& where = Where::current()) const { return __any_sync(mask_, predicate, where); }
  int all(int predicate, const Where& where = Where::current()) const { return __all_sync(mask_, predicate, where); }
  unsigned ballot(int predicate, const Where& where = Where::current()) const {
    return by_rank(__ballot_sync(mask_, predicate, where), mask_);
  }
  template <class T>
  unsigned match_any(T v, const Where& where = Where::current()) const {
    return by_rank(__match_any_sync(mask_, v, where), mask_);
  }
  template <class T>
  unsigned match_all(T v, int& predicate, const Where& where = Where::current()) const {
    return by_rank(__match_all_sync(mask_, v, &predicate, where), mask_);
  }

  unsigned lanes() const { return mask_; }  // the emulator's own

 protected:
  Lanes(unsigned mask, unsigned meta_rank, unsigned meta_size)
      : mask_(mask), meta_rank_(meta_rank), meta_size_(meta_size) {}

 private:
  unsigned mask_, meta_rank_, meta_size_;
};

}  // namespace detail

/// All threads of the block.
class thread_block {
 public:
  static unsigned thread_rank() { return detail::block_rank(); }
  static unsigned size() { return detail::block_size(); }
  static unsigned num_threads() { return size(); }
  static dim3 group_index() { return blockIdx; }
  static dim3 thread_index() { return threadIdx; }
  static dim3 dim_threads() { return blockDim; }
  static dim3 group_dim() { return blockDim; }
  static void sync(const Where& where = Where::current()) { __syncthreads(where); }
};
inline thread_block this_thread_block() { return {}; }

/// `kSize` neighbouring threads: a power of two up to 32.
template <unsigned kSize, class Parent = thread_block>
class thread_block_tile : public detail::Lanes {
  static_assert(kSize >= 1 && kSize <= 32 && std::has_single_bit(kSize), "a tile has 1, 2, 4, 8, 16 or 32 threads");

 public:
  thread_block_tile(unsigned first_lane, unsigned meta_rank, unsigned meta_size)
      : Lanes((kSize == 32 ? ~0u : (1u << kSize % 32) - 1u) << first_lane, meta_rank, meta_size) {}
  static constexpr unsigned size() { return kSize; }
  static constexpr unsigned num_threads() { return kSize; }
  template <class T>
  T shfl_xor(T v, unsigned rank_mask, const Where& where = Where::current()) const {
    return __shfl_xor_sync(lanes(), v, static_cast<int>(rank_mask), static_cast<int>(kSize), where);
  }
};

/// Lanes that came to one place together.
class coalesced_group : public detail::Lanes {
 public:
  explicit coalesced_group(unsigned mask, unsigned meta_rank = 0, unsigned meta_size = 1)
      : Lanes(mask, meta_rank, meta_size) {}
};
inline coalesced_group coalesced_threads(const Where& where = Where::current()) {
  return coalesced_group(static_cast<unsigned>(
      gradus::simt::gather(gradus::simt::Collective::coalesced_threads, 1u << detail::lane(), 0, where)));
}

template <unsigned kSize>
inline thread_block_tile<kSize> tiled_partition(const thread_block&) {
  return {detail::lane() / kSize * kSize, detail::block_rank() / kSize, (detail::block_size() + kSize - 1) / kSize};
}
template <unsigned kSize, unsigned kParent, class P>
inline thread_block_tile<kSize, thread_block_tile<kParent, P>> tiled_partition(
    const thread_block_tile<kParent, P>& parent) {
  static_assert(kSize <= kParent, "a tile's part is no larger than the tile");
  return {detail::lane() / kSize * kSize, parent.thread_rank() / kSize, kParent / kSize};
}
/// The members that hold the same label.
template <class Group>
inline coalesced_group labeled_partition(const Group& parent, unsigned label, const Where& where = Where::current()) {
  const unsigned mine = __match_any_sync(parent.lanes(), label, where);
  unsigned firsts = 0;  // of each label its first lane
  for (unsigned rest = parent.lanes(); rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    firsts |= static_cast<unsigned>(std::countr_zero(__shfl_sync(parent.lanes(), mine, l, warpSize, where)) == l) << l;
  }
  const unsigned below = (1u << std::countr_zero(mine)) - 1u;
  return coalesced_group(mine, static_cast<unsigned>(std::popcount(firsts & below)),
                         static_cast<unsigned>(std::popcount(firsts)));
}

template <class Group>
inline void sync(const Group& group, const Where& where = Where::current()) {
  group.sync(where);
}

// What reduce() takes.
template <class T>
struct plus {
  T operator()(T a, T b) const { return a + b; }
};
template <class T>
struct less {  // the smaller of the two
  T operator()(T a, T b) const { return b < a ? b : a; }
};
template <class T>
struct greater {  // the larger
  T operator()(T a, T b) const { return a < b ? b : a; }
};
template <class T>
struct bit_and {
  T operator()(T a, T b) const { return a & b; }
};
template <class T>
struct bit_or {
  T operator()(T a, T b) const { return a | b; }
};
template <class T>
struct bit_xor {
  T operator()(T a, T b) const { return a ^ b; }
};

/// Every member gets op over all of them: in a tile by halves, as CUDA does it, in other groups in the order of ranks.
template <unsigned kSize, class P, class T, class Op>
inline T reduce(const thread_block_tile<kSize, P>& group, T v, Op op, const Where& where = Where::current()) {
  for (unsigned i = kSize / 2; i > 0; i /= 2) v = op(v, group.shfl_xor(v, i, where));
  return v;
}
template <class T, class Op>
inline T reduce(const coalesced_group& group, T v, Op op, const Where& where = Where::current()) {
  T total = group.shfl(v, 0, where);
  for (unsigned rank = 1; rank < group.size(); ++rank) total = op(total, group.shfl(v, static_cast<int>(rank), where));
  return total;
}

/// All threads of the grid.
class grid_group {
 public:
  static bool is_valid() { return false; }  // may sync() be called?
  static unsigned long long block_rank() {
    return blockIdx.x + 1ull * gridDim.x * (blockIdx.y + 1ull * gridDim.y * blockIdx.z);
  }
  static unsigned long long num_blocks() { return 1ull * gridDim.x * gridDim.y * gridDim.z; }
  static unsigned long long thread_rank() { return block_rank() * detail::block_size() + detail::block_rank(); }
  static unsigned long long size() { return num_blocks() * detail::block_size(); }
  static unsigned long long num_threads() { return size(); }
  static dim3 group_dim() { return gridDim; }
  [[noreturn]] static void sync(const Where& where = Where::current()) {
    gradus::simt::trap("this_grid().sync(): the launch is not a cooperative one; split the kernel in two", where);
  }
};
inline grid_group this_grid() { return {}; }

}  // namespace cooperative_groups
