// The CPU's memory: a caching allocator, and fill, copy and accumulate on strided views.
//
// Freed memory is kept, never given back to the system: in steady state a training step allocates nothing fresh, and so
// pays no page faults (a fresh 51 MB buffer costs four times its reuse). Small blocks are rounded to size classes (four
// to each power of two, so at most a quarter is wasted), carved from 2 MiB arenas, and go back to their class's list;
// large ones come from core/large_blocks.hpp, with huge pages advised. Only when memory runs out are free blocks given
// back.

#include <sys/sysinfo.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/device.hpp"
#include "core/large_blocks.hpp"
#include "core/strided.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define GRADUS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRADUS_ASAN 1
#endif
#endif

namespace gradus {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kArena = std::int64_t{2} << 20;
constexpr std::int64_t kLarge = kArena / 2;                 // blocks above it are large
constexpr int kClasses = 72;                                // size classes of small blocks
constexpr std::int64_t kMostBytes = std::int64_t{1} << 47;  // what a process can address

/// Classes 64, 80, 96, 112, 128, 160, …: (4 + q) * 2^e with q in 1..4, then rounded up to whole cache lines.
struct SizeClass {
  int index;  // -1: a large block
  std::int64_t bytes;
};
SizeClass size_class(std::int64_t bytes) {
  if (bytes > kLarge) return {-1, LargeBlocks::round_up(bytes)};
  const auto need = static_cast<std::uint64_t>(std::max(bytes, kAlignment));
  const int exponent = std::bit_width(need - 1) - 3;  // quarter steps of the power of two below
  const std::uint64_t quarter = std::uint64_t{1} << std::max(exponent, 0);
  const std::uint64_t quarters = (need + quarter - 1) / quarter;  // 5..8
  const std::uint64_t rounded = (quarters * quarter + kAlignment - 1) / kAlignment * kAlignment;
  return {exponent * 4 + static_cast<int>(quarters) - 5, static_cast<std::int64_t>(rounded)};
}

/// What the machine has, swap included.
std::int64_t system_memory() {
  struct sysinfo info {};
  ::sysinfo(&info);
  return static_cast<std::int64_t>((info.totalram + info.totalswap) * info.mem_unit);
}

class CpuBackend final : public Backend {
 public:
  void* allocate(std::int64_t bytes) override {
    check<DeviceError>(bytes >= 0 && bytes < kMostBytes, "cpu: cannot allocate {} bytes", bytes);
    const SizeClass c = size_class(bytes);
    std::lock_guard lock(mutex_);
    void* data = take(c, bytes);
    ++stats_.allocations;
    stats_.current += c.bytes;
    stats_.peak = std::max(stats_.peak, stats_.current);
    return data;
  }

  void release(void* data, std::int64_t bytes) noexcept override {
    const SizeClass c = size_class(bytes);
    std::lock_guard lock(mutex_);
    stats_.current -= c.bytes;
#ifdef GRADUS_ASAN
    std::free(data);  // no cache, so that the sanitizer sees every use after free
    stats_.reserved -= c.bytes;
#else
    if (c.index < 0)
      large_.give(data, c.bytes);
    else
      free_[static_cast<std::size_t>(c.index)].push_back(data);
#endif
  }

  MemoryStats memory_stats() const override {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() override {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.current;
  }

  /// Gives the free large blocks' memory back; small ones stay in their arenas.
  void empty_cache() {
    std::lock_guard lock(mutex_);
    stats_.reserved -= large_.empty();
  }

  void fill(const MemoryView& y, double value) override {
    dispatch_all(y.dtype, [&]<class T>(T) {
      const T v = convert<T>(value);
      const StridedLoop<1> loop(y.shape, {&y.strides});
      loop.run(kGrain, [&](const auto& at, std::int64_t n) {
        T* p = static_cast<T*>(y.data) + at[0];
        const std::int64_t step = loop.inner_stride(0);
        if (step == 1)
          std::fill(p, p + n, v);
        else
          for (std::int64_t i = 0; i < n; ++i) p[i * step] = v;
      });
    });
  }

  void copy(const MemoryView& x, const MemoryView& y) override {
    const StridedLoop<2> loop(y.shape, {&y.strides, &x.strides});
    dispatch_all(x.dtype, [&]<class From>(From) {
      dispatch_all(y.dtype, [&]<class To>(To) {
        const auto* source = static_cast<const From*>(x.data);
        auto* target = static_cast<To*>(y.data);
        const std::int64_t sy = loop.inner_stride(0), sx = loop.inner_stride(1);
        loop.run(kGrain, [&](const auto& at, std::int64_t n) {
          To* q = target + at[0];
          const From* p = source + at[1];
          if constexpr (std::is_same_v<From, To>) {
            if (sx == 1 && sy == 1) {
              std::memcpy(q, p, static_cast<std::size_t>(n) * sizeof(To));
              return;
            }
          }
          for (std::int64_t i = 0; i < n; ++i) q[i * sy] = convert<To>(p[i * sx]);
        });
      });
    });
  }

  void accumulate(const MemoryView& x, const MemoryView& y) override {
    const StridedLoop<2> loop(y.shape, {&y.strides, &x.strides});
    dispatch_all(x.dtype, [&]<class T>(T) {
      const auto* source = static_cast<const T*>(x.data);
      auto* target = static_cast<T*>(y.data);
      const std::int64_t sy = loop.inner_stride(0), sx = loop.inner_stride(1);
      loop.run(kGrain, [&](const auto& at, std::int64_t n) {
        T* q = target + at[0];
        const T* p = source + at[1];
        if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
          if (sx == 1 && sy == 1) {
            for (std::int64_t i = 0; i < n; ++i) q[i] += p[i];
            return;
          }
        }
        for (std::int64_t i = 0; i < n; ++i)
          q[i * sy] = convert<T>(convert<double>(q[i * sy]) + convert<double>(p[i * sx]));
      });
    });
  }

 private:
  void* take(SizeClass c, std::int64_t asked) {
#ifdef GRADUS_ASAN
    ++stats_.system_allocations;
    void* data = std::aligned_alloc(kAlignment, static_cast<std::size_t>((c.bytes + 63) / 64 * 64));
    if (!data) out_of_memory(asked);
    stats_.reserved += c.bytes;
    return data;
#else
    if (c.index < 0) return take_large(c.bytes, asked);
    auto& list = free_[static_cast<std::size_t>(c.index)];
    if (!list.empty()) {
      void* data = list.back();
      list.pop_back();
      return data;
    }
    if (arena_left_ < c.bytes) {  // what is left of the old arena is lost: less than one block
      arena_ = static_cast<char*>(take_large(kArena, asked));
      arena_left_ = kArena;
    }
    void* data = arena_;
    arena_ += c.bytes;
    arena_left_ -= c.bytes;
    return data;
#endif
  }

  [[maybe_unused]] void* take_large(std::int64_t bytes, std::int64_t asked) {
    static const std::int64_t most = system_memory();
    LargeBlocks::Taken taken = large_.take(bytes, most - stats_.reserved);
    if (taken.data == nullptr) {
      stats_.reserved -= large_.empty();
      taken = large_.take(bytes, most - stats_.reserved);
    }
    if (taken.data == nullptr) out_of_memory(asked);
    stats_.system_allocations += taken.fresh > 0;
    stats_.reserved += taken.fresh;
    return taken.data;
  }

  [[noreturn]] void out_of_memory(std::int64_t asked) const {
    fail<DeviceError>("cpu: out of memory: asked for {} MiB, tensors hold {} MiB, the cache {} MiB", asked >> 20,
                      stats_.current >> 20, (stats_.reserved - stats_.current) >> 20);
  }

  mutable std::mutex mutex_;
  MemoryStats stats_;
  LargeBlocks large_;
  std::array<std::vector<void*>, kClasses> free_;
  [[maybe_unused]] char* arena_ = nullptr;
  [[maybe_unused]] std::int64_t arena_left_ = 0;
};

CpuBackend& instance() {
  static CpuBackend* backend = new CpuBackend;  // never destroyed: tensors may outlive every static object
  return *backend;
}

}  // namespace

Backend& cpu_backend() { return instance(); }
std::int64_t cpu_block_bytes(std::int64_t bytes) { return size_class(bytes).bytes; }
void empty_cache() { instance().empty_cache(); }

}  // namespace gradus
