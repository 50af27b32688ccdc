#include "cuda/allocator.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "cuda/graph_memory.hpp"
#include "cuda/kernel_scope.hpp"
#include "cuda/runtime.hpp"
#if defined(GRADUS_SIMT)
#include "cuda/simt/device_memory.hpp"
#endif

namespace gradus::cuda {
namespace {

constexpr std::int64_t kAlignment = 256;
constexpr std::int64_t kArena = std::int64_t{2} << 20;  // small blocks are carved from arenas
constexpr std::int64_t kLarge = kArena / 2;             // from here on a block is the driver's own

/// (4 + q) * 2^e with q in 1..4, then whole lines of 256 bytes.
std::int64_t rounded(std::int64_t bytes) {
  const auto need = static_cast<std::uint64_t>(std::max(bytes, kAlignment));
  const int exponent = std::bit_width(need - 1) - 3;
  const std::uint64_t quarter = std::uint64_t{1} << std::max(exponent, 0);
  const std::uint64_t up = (need + quarter - 1) / quarter * quarter;
  return static_cast<std::int64_t>((up + kAlignment - 1) / kAlignment * kAlignment);
}

double mebibytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

const std::string& nobody() {
  static const std::string none;
  return none;
}
const std::string& (*holder)() = nobody;

class Allocator {
 public:
  explicit Allocator(int device) : device_(device) {}

  void* allocate(std::int64_t asked) {
    check<DeviceError>(asked >= 0, "cuda:{}: cannot allocate {} bytes", device_, asked);
    const std::int64_t bytes = rounded(asked);
    const cudaStream_t on = stream();
    const std::lock_guard lock(mutex_);
    home_ = on;
    if (limit_ > 0 && stats_.current + bytes > limit_) out_of_memory(asked);
    void* data = take(on, bytes, asked);
    ++stats_.allocations;
    stats_.current += bytes;
    stats_.peak = std::max(stats_.peak, stats_.current);
    live_[data] = {bytes, on, &*names_.insert(holder()).first, pool_};
#if defined(GRADUS_SIMT)
    if (asked > 0) simt::block_given(data, static_cast<std::size_t>(asked));  // checked mode then knows its end
#endif
    return data;
  }

  void release(void* data) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(data);
    if (found == live_.end()) return;
    stats_.current -= found->second.bytes;
    const Held& held = found->second;
#if defined(GRADUS_SIMT)
    if (held.pool == 0) simt::block_taken_back(data);  // a graph's replay goes on using its own
#endif
    (held.pool != 0 ? own_[{held.pool, held.bytes}] : free_[{held.stream, held.bytes}]).push_back(data);
    live_.erase(found);
  }

  bool holds(const void* data) const {
    const std::lock_guard lock(mutex_);
    const auto* p = static_cast<const char*>(data);
    auto after = segments_.upper_bound(p);
    if (after == segments_.begin()) return false;
    --after;
    return p < after->first + after->second;
  }

  MemoryStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.current;
  }
  void empty_cache() {
    const std::lock_guard lock(mutex_);
    give_back();
  }
  void limit(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }
  void begin_pool(std::uint64_t pool) {
    const std::lock_guard lock(mutex_);
    pool_ = pool;
  }
  void drop_pool(std::uint64_t pool) {
    const std::lock_guard lock(mutex_);
    for (auto& [data, held] : live_)
      if (held.pool == pool) held.pool = 0;
    for (auto& [key, blocks] : own_) {
      if (key.first != pool) continue;
      auto& list = free_[{home_, key.second}];
      list.insert(list.end(), blocks.begin(), blocks.end());
      blocks.clear();
    }
  }
  std::string table() const {
    const std::lock_guard lock(mutex_);
    return holders();
  }

 private:
  struct Held {
    std::int64_t bytes;
    cudaStream_t stream;
    const std::string* by;
    std::uint64_t pool;  // of the graph it was captured for; 0: nobody's
  };

  void* take(cudaStream_t on, std::int64_t bytes, std::int64_t asked) {
    if (pool_ != 0)
      if (const auto found = own_.find({pool_, bytes}); found != own_.end() && !found->second.empty()) {
        void* data = found->second.back();
        found->second.pop_back();
        return data;
      }
    if (const auto found = free_.find({on, bytes}); found != free_.end() && !found->second.empty()) {
      void* data = found->second.back();
      found->second.pop_back();
      return data;
    }
    ++stats_.system_allocations;
    if (bytes >= kLarge) return segment(bytes, asked);
    Arena& arena = arenas_[on];
    if (arena.left < bytes) arena = {static_cast<char*>(segment(kArena, asked)), kArena};  // the old rest is lost
    void* data = arena.next;
    arena.next += bytes;
    arena.left -= bytes;
    return data;
  }

  /// Fresh from the driver.
  void* segment(std::int64_t bytes, std::int64_t asked) {
    check_cuda(cudaSetDevice(device_), "cudaSetDevice");
    void* data = nullptr;
    cudaError_t error = cudaMalloc(&data, static_cast<std::size_t>(bytes));
    if (error == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      give_back();
      error = cudaMalloc(&data, static_cast<std::size_t>(bytes));
    }
    if (error == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      out_of_memory(asked);
    }
    check_cuda(error, "cudaMalloc");
    segments_[static_cast<const char*>(data)] = bytes;
    stats_.reserved += bytes;
    return data;
  }

  /// Frees the cached large blocks; small ones stay in their arenas. Waits until nothing queued uses them.
  void give_back() {
    (void)cudaDeviceSynchronize();
    for (auto& [key, blocks] : free_) {
      const std::int64_t bytes = key.second;
      if (bytes < kLarge) continue;
      for (void* data : blocks) {
        (void)cudaFree(data);
        segments_.erase(static_cast<const char*>(data));
        stats_.reserved -= bytes;
      }
      blocks.clear();
    }
  }

  std::string holders() const {
    struct Row {
      std::int64_t bytes = 0, blocks = 0;
    };
    std::map<std::string, Row> by_name;
    for (const auto& [data, held] : live_) {
      Row& row = by_name[held.by->empty() ? "(outside modules)" : *held.by];
      row.bytes += held.bytes;
      ++row.blocks;
    }
    std::vector<std::pair<std::string, Row>> rows(by_name.begin(), by_name.end());
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
    constexpr std::size_t kRows = 12;
    if (rows.size() > kRows) {
      std::pair<std::string, Row> rest{fmt::format("({} others)", rows.size() - kRows), {}};
      for (std::size_t i = kRows; i < rows.size(); ++i)
        rest.second.bytes += rows[i].second.bytes, rest.second.blocks += rows[i].second.blocks;
      rows.resize(kRows);
      rows.push_back(rest);
    }
    std::string text;
    for (const auto& [name, row] : rows)
      text += fmt::format("{}  {:<32} {:>10.1f} MiB in {:>5} block{}", text.empty() ? "" : "\n", name,
                          mebibytes(row.bytes), row.blocks, row.blocks == 1 ? "" : "s");
    return text;
  }

  [[noreturn]] void out_of_memory(std::int64_t asked) const {
    std::size_t free = 0, total = 0;
    (void)cudaMemGetInfo(&free, &total);
    fail<DeviceError>(
        "cuda:{}: out of memory: asked for {:.1f} MiB; tensors hold {:.1f} MiB{}, the cache {:.1f} MiB, of {:.1f} MiB "
        "{:.1f} are free (a smaller batch needs less)\n{}",
        device_, mebibytes(asked), mebibytes(stats_.current),
        limit_ > 0 ? fmt::format(" of a limit of {:.1f}", mebibytes(limit_)) : "",
        mebibytes(stats_.reserved - stats_.current), mebibytes(static_cast<std::int64_t>(total)),
        mebibytes(static_cast<std::int64_t>(free)), holders());
  }

  struct Arena {
    char* next = nullptr;
    std::int64_t left = 0;
  };

  const int device_;
  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::int64_t limit_ = 0;
  std::map<std::pair<cudaStream_t, std::int64_t>, std::vector<void*>> free_;  // by stream and size
  std::map<std::pair<std::uint64_t, std::int64_t>, std::vector<void*>> own_;  // by graph and size
  std::uint64_t pool_ = 0;                                                    // of the graph that is being captured
  cudaStream_t home_ = nullptr;                                               // the stream that allocated last
  std::map<cudaStream_t, Arena> arenas_;
  std::unordered_map<void*, Held> live_;
  std::map<const char*, std::int64_t> segments_;  // what the driver gave: address and bytes
  std::set<std::string> names_;
};

/// One for each device; never destroyed, for tensors may outlive every static object.
std::vector<Allocator*>& allocators() {
  static auto* all = [] {
    auto* list = new std::vector<Allocator*>;
    for (int i = 0; i < device_count(); ++i) list->push_back(new Allocator(i));
    return list;
  }();
  return *all;
}
Allocator& allocator(int index) {
  (void)device_info(index);
  return *allocators()[static_cast<std::size_t>(index)];
}

}  // namespace

void name_holders_by(const std::string& (*layer)()) { holder = layer; }

void* allocate(int index, std::int64_t bytes) {
  if (index != current_device()) set_device(index);
  return allocator(index).allocate(bytes);
}
void release(int index, void* data, std::int64_t) noexcept {
  allocators()[static_cast<std::size_t>(index)]->release(data);
}

int device_of(const void* data) {
  for (std::size_t i = 0; i < allocators().size(); ++i)
    if (allocators()[i]->holds(data)) return static_cast<int>(i);
  return -1;
}

MemoryStats allocator_stats(int index) { return allocator(index).stats(); }
void reset_allocator_peak(int index) { allocator(index).reset_peak(); }
void empty_device_cache(int index) { allocator(index).empty_cache(); }
void limit_memory(int index, std::int64_t bytes) { allocator(index).limit(bytes); }
void begin_pool(int index, std::uint64_t pool) { allocator(index).begin_pool(pool); }
void end_pool(int index) { allocator(index).begin_pool(0); }
void drop_pool(int index, std::uint64_t pool) { allocator(index).drop_pool(pool); }
std::string memory_table(int index) { return allocator(index).table(); }

const void* constant_bytes(const void* data, std::int64_t bytes) {
  static std::mutex mutex;
  static auto* known = new std::map<std::pair<int, std::string>, void*>;
  const std::lock_guard lock(mutex);
  const int index = current_device();
  const auto [entry, fresh] = known->try_emplace(
      {index, std::string(static_cast<const char*>(data), static_cast<std::size_t>(bytes))}, nullptr);
  if (fresh) {
    entry->second = allocate(index, bytes);
    check_cuda(cudaMemcpyAsync(entry->second, entry->first.second.data(), static_cast<std::size_t>(bytes),
                               cudaMemcpyHostToDevice, stream()),
               "cudaMemcpyAsync");
    synchronize();
  }
  return entry->second;
}

}  // namespace gradus::cuda
