// What instrumented kernels call: the interface of the compilers' thread sanitizer, without its runtime. Linked only
// into programs that check kernels; a program built with -fsanitize=thread has hooks of its own.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/simt/checker.hpp"

using gradus::simt::AccessKind;
using gradus::simt::checked_access;

namespace {
[[maybe_unused]] const bool linked = gradus::simt::hooks_linked = true;
}  // namespace

// The instruction that made the call: a return address is one past it.
#define GRADUS_PC (reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) - 1)

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the names that the compiler calls
void __tsan_init() {}
void __tsan_func_entry(void*) { gradus::simt::checked_entry(GRADUS_PC); }
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define GRADUS_HOOKS(n)                                                                                  \
  void __tsan_read##n(void* p) { checked_access(p, n, AccessKind::read, true, GRADUS_PC); }              \
  void __tsan_write##n(void* p) { checked_access(p, n, AccessKind::write, true, GRADUS_PC); }            \
  void __tsan_unaligned_read##n(void* p) { checked_access(p, n, AccessKind::read, false, GRADUS_PC); }   \
  void __tsan_unaligned_write##n(void* p) { checked_access(p, n, AccessKind::write, false, GRADUS_PC); } \
  void __tsan_volatile_read##n(void* p) { checked_access(p, n, AccessKind::read, true, GRADUS_PC); }     \
  void __tsan_volatile_write##n(void* p) { checked_access(p, n, AccessKind::write, true, GRADUS_PC); }
GRADUS_HOOKS(1)
GRADUS_HOOKS(2)
GRADUS_HOOKS(4)
GRADUS_HOOKS(8)
GRADUS_HOOKS(16)

void __tsan_read_range(void* p, std::size_t bytes) { checked_access(p, bytes, AccessKind::read, false, GRADUS_PC); }
void __tsan_write_range(void* p, std::size_t bytes) { checked_access(p, bytes, AccessKind::write, false, GRADUS_PC); }

void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  checked_access(from, bytes, AccessKind::read, false, GRADUS_PC);
  checked_access(to, bytes, AccessKind::write, false, GRADUS_PC);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  checked_access(from, bytes, AccessKind::read, false, GRADUS_PC);
  checked_access(to, bytes, AccessKind::write, false, GRADUS_PC);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
  checked_access(to, bytes, AccessKind::write, false, GRADUS_PC);
  return std::memset(to, value, bytes);
}

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

// Memory orders are taken as the strongest; blocks run one at a time anyway.
#define GRADUS_ATOMIC_FETCH(bits, T, name)                                             \
  T __tsan_atomic##bits##_fetch_##name(volatile T* p, T v, int) {                      \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC); \
    return __atomic_fetch_##name(p, v, __ATOMIC_SEQ_CST);                              \
  }
#define GRADUS_ATOMICS(bits, T)                                                                    \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                         \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC);             \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) {                                      \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC);             \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) {                                      \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC);             \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                            \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* expected, T v, int, int) {   \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC);             \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* expected, T v, int, int) {     \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC);             \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                                \
  T __tsan_atomic##bits##_compare_exchange_val(volatile T* p, T expected, T v, int, int) {         \
    checked_access(const_cast<T*>(p), sizeof(T), AccessKind::atomic, true, GRADUS_PC);             \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
    return expected;                                                                               \
  }                                                                                                \
  GRADUS_ATOMIC_FETCH(bits, T, add)                                                                \
  GRADUS_ATOMIC_FETCH(bits, T, sub)                                                                \
  GRADUS_ATOMIC_FETCH(bits, T, and)                                                                \
  GRADUS_ATOMIC_FETCH(bits, T, or)                                                                 \
  GRADUS_ATOMIC_FETCH(bits, T, xor)                                                                \
  GRADUS_ATOMIC_FETCH(bits, T, nand)
GRADUS_ATOMICS(8, std::uint8_t)
GRADUS_ATOMICS(16, std::uint16_t)
GRADUS_ATOMICS(32, std::uint32_t)
GRADUS_ATOMICS(64, std::uint64_t)
// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
