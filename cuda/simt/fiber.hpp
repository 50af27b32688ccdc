#pragma once
// Fibers: stacks that one operating-system thread switches between. A switch saves what a function call must preserve
// and swaps the stack pointer: a few nanoseconds. Address and thread sanitizer are told of every switch.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define GRADUS_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRADUS_SIMT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GRADUS_SIMT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GRADUS_SIMT_TSAN 1
#endif
#endif

namespace gradus::simt {

/// Never moves: others hold its address. One made by the default constructor stands for the stack of the
/// operating-system thread that first switches away from it.
class alignas(64) Fiber {
 public:
  Fiber() = default;
  /// Will run entry() on a stack of its own, with a guard page below, when first switched to. entry must not return.
  /// `number` staggers the stacks, so that the tops of many do not fall on the same cache sets.
  Fiber(void (*entry)(), int number);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Forgets what the fiber was doing: it starts again at its entry. Must not be the one that runs.
  void restart();

  /// Leaves `from`, which must be the one that runs, for `to`. Returns when something switches back.
  static void switch_to(Fiber& from, Fiber& to);
  /// To be called at the beginning of every entry().
  static void entered();

  /// Asks for what a switch to this fiber will touch first.
  void prefetch() const { __builtin_prefetch(saved_), __builtin_prefetch(static_cast<const char*>(saved_) + 64); }

  const char* stack_begin() const { return stack_; }
  const char* stack_end() const { return stack_ + stack_bytes_; }

 private:
  void* saved_ = nullptr;  // stack pointer, or a ucontext_t
  char* mapping_ = nullptr;
  const char* stack_ = nullptr;
  std::size_t stack_bytes_ = 0, mapping_bytes_ = 0;
  std::size_t stagger_ = 0;
  void (*entry_)() = nullptr;
#if defined(GRADUS_SIMT_TSAN)
  void* tsan_ = nullptr;
#endif
#if defined(GRADUS_SIMT_ASAN)
  void* fake_stack_ = nullptr;
#endif
};

}  // namespace gradus::simt
