#include "core/large_blocks.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

namespace gradus {
namespace {

constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
constexpr std::int64_t kRange = std::int64_t{64} << 30;  // addresses asked for at once; memory comes as it is touched

}  // namespace

void LargeBlocks::insert(char* data, Free block) {
  by_size_.emplace(block.bytes, data);
  free_.emplace(data, block);
}

LargeBlocks::Blocks::iterator LargeBlocks::erase(Blocks::iterator at) {
  by_size_.erase({at->second.bytes, at->first});
  return free_.erase(at);
}

LargeBlocks::Taken LargeBlocks::take(std::int64_t bytes, std::int64_t limit) {
  auto best = by_size_.lower_bound({bytes, nullptr});
  if (best == by_size_.end()) {
    if (bytes > limit || !map_range(bytes)) return {};
    best = by_size_.lower_bound({bytes, nullptr});
  }
  const auto at = free_.find(best->second);
  char* data = at->first;
  const Free block = at->second;
  const std::int64_t touched = block.bytes - block.fresh, fresh = std::max<std::int64_t>(0, bytes - touched);
  if (fresh > limit) return {};
  erase(at);
  if (block.bytes > bytes) insert(data + bytes, {block.bytes - bytes, block.fresh - fresh});
  return {data, fresh};
}

void LargeBlocks::give(void* data, std::int64_t bytes) {
  char* begin = static_cast<char*>(data);
  Free block{bytes, 0};
  auto next = free_.lower_bound(begin);
  if (next != free_.end() && begin + bytes == next->first) {
    block = {block.bytes + next->second.bytes, block.fresh + next->second.fresh};
    next = erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second.bytes == begin) {
      begin = before->first;
      block = {block.bytes + before->second.bytes, block.fresh + before->second.fresh};
      erase(before);
    }
  }
  insert(begin, block);
}

std::int64_t LargeBlocks::empty() {
  std::int64_t bytes = 0;
  for (auto& [data, block] : free_) {
    if (block.fresh == block.bytes) continue;
    ::madvise(data, static_cast<std::size_t>(block.bytes), MADV_DONTNEED);
    bytes += block.bytes - block.fresh;
    block.fresh = block.bytes;
  }
  return bytes;
}

bool LargeBlocks::map_range(std::int64_t bytes) {
  void* raw = MAP_FAILED;
  std::int64_t size = std::max(kRange, bytes);
  for (;; size = std::max(size / 2, bytes)) {  // a limit on addresses (ulimit -v) may leave room for less
    raw = ::mmap(nullptr, static_cast<std::size_t>(size + kHugePage), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw != MAP_FAILED || size == bytes) break;
  }
  if (raw == MAP_FAILED) return false;
  const auto address = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t begin = (address + kHugePage - 1) / kHugePage * kHugePage;
  size = size / kGranule * kGranule;
  ::madvise(reinterpret_cast<void*>(begin), static_cast<std::size_t>(size), MADV_HUGEPAGE);
  insert(reinterpret_cast<char*>(begin), {size, size});
  return true;
}

}  // namespace gradus
