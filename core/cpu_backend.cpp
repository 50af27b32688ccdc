// The CPU's memory: a caching allocator, and fill, copy and accumulate on strided views.
//
// Blocks are rounded to size classes (four to each power of two, so at most a quarter is wasted) and go back to their
// class's free list, never to the system: in steady state a training step allocates nothing fresh, and so pays no page
// faults (a fresh 51 MB buffer costs four times its reuse). Small classes are carved from 2 MiB arenas; large ones are
// mapped alone, in whole 2 MiB pages at a 2 MiB boundary, with huge pages advised. Only when the system refuses memory
// are cached blocks given back.

#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/device.hpp"
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
constexpr std::int64_t kLarge = kArena / 2;  // from here on a block gets a mapping of its own

/// Classes 64, 80, 96, 112, 128, 160, …: (4 + q) * 2^e with q in 1..4, then rounded up to whole cache lines.
struct SizeClass {
  int index;
  std::int64_t bytes;
};
SizeClass size_class(std::int64_t bytes) {
  const auto need = static_cast<std::uint64_t>(std::max(bytes, kAlignment));
  const int exponent = std::bit_width(need - 1) - 3;  // quarter steps of the power of two below
  const std::uint64_t quarter = std::uint64_t{1} << std::max(exponent, 0);
  const std::uint64_t quarters = (need + quarter - 1) / quarter;  // 5..8
  const std::uint64_t rounded = (quarters * quarter + kAlignment - 1) / kAlignment * kAlignment;
  return {exponent * 4 + static_cast<int>(quarters) - 5, static_cast<std::int64_t>(rounded)};
}

class CpuBackend final : public Backend {
 public:
  void* allocate(std::int64_t bytes) override {
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

  /// Unmaps the cached large blocks; small ones stay in their arenas.
  void empty_cache() {
    std::lock_guard lock(mutex_);
    unmap_free_blocks();
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
  void unmap_free_blocks() {
    for (std::size_t i = 0; i < free_.size(); ++i) {
      const std::int64_t bytes = class_bytes_[i];
      if (bytes < kLarge) continue;
      for (void* data : free_[i]) ::munmap(data, static_cast<std::size_t>(mapped(bytes)));
      stats_.reserved -= mapped(bytes) * static_cast<std::int64_t>(free_[i].size());
      free_[i].clear();
    }
  }

  static std::int64_t mapped(std::int64_t bytes) { return (bytes + kArena - 1) / kArena * kArena; }

  void* take(SizeClass c, std::int64_t asked) {
    const auto index = static_cast<std::size_t>(c.index);
    check<DeviceError>(index < free_.size() && asked >= 0, "cpu: cannot allocate {} bytes", asked);
    class_bytes_[index] = c.bytes;
    auto& list = free_[index];
    if (!list.empty()) {
      void* data = list.back();
      list.pop_back();
      return data;
    }
    ++stats_.system_allocations;
#ifdef GRADUS_ASAN
    void* data = std::aligned_alloc(kAlignment, static_cast<std::size_t>(c.bytes));
    if (!data) out_of_memory(asked);
    stats_.reserved += c.bytes;
    return data;
#else
    if (c.bytes >= kLarge) return map(mapped(c.bytes), asked);
    if (arena_left_ < c.bytes) {  // what is left of the old arena is lost: less than one block
      arena_ = static_cast<char*>(map(kArena, asked));
      arena_left_ = kArena;
    }
    void* data = arena_;
    arena_ += c.bytes;
    arena_left_ -= c.bytes;
    return data;
#endif
  }

  /// `bytes` (whole arenas) at a 2 MiB boundary: maps one arena more and gives the ends back.
  void* map(std::int64_t bytes, std::int64_t asked) {
    const auto size = static_cast<std::size_t>(bytes), arena = static_cast<std::size_t>(kArena);
    const auto reserve = [&] {
      return ::mmap(nullptr, size + arena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    };
    void* raw = reserve();
    if (raw == MAP_FAILED) {
      unmap_free_blocks();
      raw = reserve();
    }
    if (raw == MAP_FAILED) out_of_memory(asked);
    const auto address = reinterpret_cast<std::uintptr_t>(raw);
    const std::uintptr_t begin = (address + arena - 1) / arena * arena;
    if (begin > address) ::munmap(raw, begin - address);
    ::munmap(reinterpret_cast<void*>(begin + size), address + arena - begin);
    ::madvise(reinterpret_cast<void*>(begin), size, MADV_HUGEPAGE);
    stats_.reserved += bytes;
    return reinterpret_cast<void*>(begin);
  }

  [[noreturn]] void out_of_memory(std::int64_t asked) const {
    fail<DeviceError>("cpu: out of memory: asked for {} MiB, tensors hold {} MiB, the cache {} MiB", asked >> 20,
                      stats_.current >> 20, (stats_.reserved - stats_.current) >> 20);
  }

  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::array<std::vector<void*>, 160> free_;
  std::array<std::int64_t, 160> class_bytes_{};
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
