#pragma once
// One pool of threads for everything that runs on the CPU.
//
// Work is handed out in numbered chunks. Which thread runs a chunk is left to chance; what a chunk does must depend on
// its number alone. A reduction therefore writes one partial result per chunk and adds them in the order of the chunk
// numbers, and the same problem gives the same bits whatever the number of threads.
//
// Inside chunks denormal numbers are flushed to zero, on every thread: they slow some loops 40-fold and carry nothing a
// network needs. The calling thread's own setting is restored afterwards.

#include <cstdint>
#include <type_traits>
#include <utility>

namespace gradus {

namespace detail {
using ChunkFn = void (*)(void* context, std::int64_t chunk);
void run_chunks(std::int64_t chunks, ChunkFn fn, void* context);
}  // namespace detail

/// Calls fn(chunk) for every chunk in [0, chunks), in parallel; returns when all are done. Calls may nest: an inner
/// call runs on the calling thread alone. An exception thrown by a chunk is thrown again here, once, after all
/// running chunks have ended (chunks not yet started are then skipped).
template <class Fn>
void parallel_for(std::int64_t chunks, Fn&& fn) {
  using F = std::remove_reference_t<Fn>;
  detail::run_chunks(
      chunks, [](void* context, std::int64_t chunk) { (*static_cast<F*>(context))(chunk); },
      const_cast<void*>(static_cast<const void*>(&fn)));
}

/// Calls fn(begin, end) on consecutive ranges that cover [0, n), each of `grain` elements but the last.
template <class Fn>
void parallel_ranges(std::int64_t n, std::int64_t grain, Fn&& fn) {
  if (n <= 0) return;
  parallel_for((n + grain - 1) / grain, [&](std::int64_t chunk) {
    const std::int64_t begin = chunk * grain;
    fn(begin, begin + grain < n ? begin + grain : n);
  });
}

/// Threads that work on a parallel_for, the calling one included. At the start: GRADUS_NUM_THREADS, else the number of
/// cores this process may use.
int num_threads();
/// Sets it; throws ValueError below 1 or above 1024. Not to be called from inside a chunk (GraphError), nor while
/// another thread is in a parallel_for.
void set_num_threads(int n);

}  // namespace gradus
