#pragma once
// What a CUDA thread knows of itself, and the block's barrier. See simt/block.hpp for how threads are run.

#include <cstddef>

#include "cuda/simt/vector_types.hpp"

extern constinit thread_local uint3 threadIdx;
extern constinit thread_local uint3 blockIdx;
extern constinit thread_local dim3 blockDim;
extern constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

namespace gradus::simt {

/// Where in the source a call stands; a default argument, so it is the caller's line. (Not std::source_location, which
/// clang 14 lacks.)
struct Where {
  const char* file;
  int line;
  static constexpr Where current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

bool same_place(const Where& a, const Where& b);

enum class BarrierKind : unsigned char { sync, count, all, any };

/// Waits until every thread of the block has come to this barrier. A barrier that some thread never reaches, or that
/// threads reach at different places, is an error that ends the launch. Returns what `kind` makes of the predicates.
int barrier(BarrierKind kind, int predicate, const Where& where);

void* dynamic_shared_memory();
void fence();  // __threadfence: what this thread's block wrote is visible to who learns of it through an atomic
long long ticks();

/// Ends the launch with a DeviceError: __trap().
[[noreturn]] void trap(const char* what, const Where& where);

}  // namespace gradus::simt

inline void __syncthreads(const gradus::simt::Where& where = gradus::simt::Where::current()) {
  gradus::simt::barrier(gradus::simt::BarrierKind::sync, 0, where);
}
inline int __syncthreads_count(int predicate, const gradus::simt::Where& where = gradus::simt::Where::current()) {
  return gradus::simt::barrier(gradus::simt::BarrierKind::count, predicate, where);
}
inline int __syncthreads_and(int predicate, const gradus::simt::Where& where = gradus::simt::Where::current()) {
  return gradus::simt::barrier(gradus::simt::BarrierKind::all, predicate, where);
}
inline int __syncthreads_or(int predicate, const gradus::simt::Where& where = gradus::simt::Where::current()) {
  return gradus::simt::barrier(gradus::simt::BarrierKind::any, predicate, where);
}

inline void __threadfence() { gradus::simt::fence(); }
inline void __threadfence_system() { gradus::simt::fence(); }
inline void __threadfence_block() { asm volatile("" ::: "memory"); }  // one thread runs at a time

inline void __trap(const gradus::simt::Where& where = gradus::simt::Where::current()) {
  gradus::simt::trap("__trap()", where);
}
inline void __nanosleep(unsigned) {}
