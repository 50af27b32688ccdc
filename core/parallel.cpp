#include "core/parallel.hpp"

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/error.hpp"

namespace gradus {
namespace {

constexpr int kMaxThreads = 1024;
// How often an idle worker looks for work before it sleeps: about 20 us, a few times the gap between two operators.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// Flushes denormals to zero until destroyed.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }  // FTZ | DAZ
  ~FlushDenormals() { _mm_setcsr(before_); }
#else
  FlushDenormals() = default;
  ~FlushDenormals() = default;
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  [[maybe_unused]] unsigned before_ = 0;
};

thread_local bool inside_chunk = false;

/// One parallel_for at a time. A job is published by raising `generation_`; workers and the caller then draw chunk
/// numbers from `next_` until none is left, and the caller waits until every worker that joined has left.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_.store(true, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(std::int64_t chunks, detail::ChunkFn fn, void* context) {
    std::lock_guard one_job(job_mutex_);
    fn_ = fn, context_ = context, chunks_ = chunks;
    error_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    open_.store(true, std::memory_order_seq_cst);
    generation_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      { std::lock_guard lock(mutex_); }  // a worker between its last look and its sleep holds this
      wake_.notify_all();
    }
    draw();
    open_.store(false, std::memory_order_seq_cst);  // late workers see it and stay out
    // Usually a matter of nanoseconds; but a worker may have lost its core to another process. Asleep, the caller
    // leaves it its own; a caller that spins or yields looks busy, and the worker waits out the other process's time
    // slice.
    int joined = joined_.load(std::memory_order_seq_cst);
    for (int i = 0; joined != 0; joined = joined_.load(std::memory_order_seq_cst))
      ++i < kSpins ? relax() : joined_.wait(joined, std::memory_order_seq_cst);
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void draw() {
    const bool was_inside = std::exchange(inside_chunk, true);
    for (;;) {
      const std::int64_t chunk = next_.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks_) break;
      try {
        fn_(context_, chunk);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        next_.store(chunks_, std::memory_order_relaxed);
      }
    }
    inside_chunk = was_inside;
  }

  void work() {
    const FlushDenormals flush;
    std::uint64_t seen = 0;
    for (;;) {
      std::uint64_t now = seen;
      for (int i = 0; i < kSpins && (now = generation_.load(std::memory_order_acquire)) == seen; ++i) relax();
      if (now == seen) {
        std::unique_lock lock(mutex_);
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_seq_cst) != seen; });
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        now = generation_.load(std::memory_order_acquire);
      }
      seen = now;
      if (stop_.load(std::memory_order_relaxed)) return;
      joined_.fetch_add(1, std::memory_order_seq_cst);
      if (open_.load(std::memory_order_seq_cst)) draw();
      if (joined_.fetch_sub(1, std::memory_order_seq_cst) == 1) joined_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex job_mutex_;  // one caller at a time
  std::mutex mutex_;      // guards sleeping, error_
  std::condition_variable wake_;
  alignas(64) std::atomic<std::uint64_t> generation_{0};
  alignas(64) std::atomic<std::int64_t> next_{0};
  alignas(64) std::atomic<int> joined_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> open_{false};
  std::atomic<bool> stop_{false};
  detail::ChunkFn fn_ = nullptr;
  void* context_ = nullptr;
  std::int64_t chunks_ = 0;
  std::exception_ptr error_;
};

int default_threads() {
  if (const char* text = std::getenv("GRADUS_NUM_THREADS")) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    check(end != text && *end == '\0' && n >= 1 && n <= kMaxThreads,
          "GRADUS_NUM_THREADS: expected a number from 1 to {}, got \"{}\"", kMaxThreads, text);
    return static_cast<int>(n);
  }
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::unique_ptr<Pool>& pool() {
  static std::unique_ptr<Pool> instance = std::make_unique<Pool>(default_threads());
  return instance;
}

}  // namespace

namespace detail {
void run_chunks(std::int64_t chunks, ChunkFn fn, void* context) {
  if (chunks <= 0) return;
  if (inside_chunk) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) fn(context, chunk);
    return;
  }
  const FlushDenormals flush;
  if (chunks == 1 || pool()->threads() == 1) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) fn(context, chunk);
    return;
  }
  pool()->run(chunks, fn, context);
}
}  // namespace detail

int num_threads() { return pool()->threads(); }

void set_num_threads(int n) {
  check(n >= 1 && n <= kMaxThreads, "set_num_threads: expected 1 to {}, got {}", kMaxThreads, n);
  check<GraphError>(!inside_chunk, "set_num_threads: called from inside a parallel_for");
  if (n != num_threads()) {
    pool().reset();
    pool() = std::make_unique<Pool>(n);
  }
}

}  // namespace gradus
