#pragma once
// Addresses for large blocks: best fit, with freed neighbours joined again.
//
// A network's activations come in many sizes (every layer of a DenseNet has its own), so lists of freed blocks by size
// would keep each size's own peak. Here a freed block serves any size that fits, and what the process holds stays near
// what its tensors hold at the peak. Memory is touched first where it was touched before: in steady state no page is
// fresh. Not thread-safe.

#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace gradus {

class LargeBlocks {
 public:
  /// Sizes are multiples of it, addresses too: 1/16 of the smallest block at most is wasted, and huge pages are whole.
  static constexpr std::int64_t kGranule = std::int64_t{64} << 10;
  static constexpr std::int64_t round_up(std::int64_t bytes) { return (bytes + kGranule - 1) / kGranule * kGranule; }

  struct Taken {
    void* data = nullptr;
    std::int64_t fresh = 0;  // bytes of it that the system must supply
  };
  /// `bytes` is a multiple of kGranule. No data where more than `limit` bytes would be fresh, or no addresses are left.
  Taken take(std::int64_t bytes, std::int64_t limit);
  void give(void* data, std::int64_t bytes);
  /// Returns the memory of all free blocks to the system; says how much that was.
  std::int64_t empty();

 private:
  struct Free {
    std::int64_t bytes;
    std::int64_t fresh;  // of them never touched, or given back to the system; counted as the block's end
  };
  using Blocks = std::map<char*, Free>;

  bool map_range(std::int64_t bytes);
  void insert(char* data, Free block);
  Blocks::iterator erase(Blocks::iterator at);

  Blocks free_;
  std::set<std::pair<std::int64_t, char*>> by_size_;  // the same blocks: smallest first, then lowest
};

}  // namespace gradus
