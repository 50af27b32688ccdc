#include "cuda/simt/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "core/error.hpp"

#if !defined(__x86_64__) || defined(GRADUS_SIMT_UCONTEXT)
#define GRADUS_SIMT_USES_UCONTEXT 1
#include <ucontext.h>
#endif
#if defined(GRADUS_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GRADUS_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(GRADUS_SIMT_USES_UCONTEXT)
// void gradus_simt_switch(void** save /*rdi*/, void* load /*rsi*/): System V ABI; callee-saved registers go to the
// stack. The floating-point control words are the operating-system thread's, the same for all its fibers.
extern "C" void gradus_simt_switch(void** save, void* load);
asm(R"(
.text
.p2align 4
.globl gradus_simt_switch
.hidden gradus_simt_switch
.type gradus_simt_switch, @function
gradus_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gradus_simt_switch, . - gradus_simt_switch
)");
#endif

namespace gradus::simt {
namespace {

#if defined(GRADUS_SIMT_ASAN) || defined(GRADUS_SIMT_TSAN)
constexpr std::size_t kStack = 512 << 10;  // sanitizers' frames are larger
#else
constexpr std::size_t kStack = 128 << 10;
#endif
constexpr std::size_t kGuard = 4096;

#if defined(GRADUS_SIMT_ASAN)
thread_local Fiber* left = nullptr;  // the fiber the last switch came from
#endif

}  // namespace

Fiber::Fiber(void (*entry)(), int number) : entry_(entry) {
  mapping_bytes_ = kGuard + kStack;
  void* mapping =
      ::mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check<DeviceError>(mapping != MAP_FAILED, "simt: no memory for the stack of an emulated thread");
  mapping_ = static_cast<char*>(mapping);
  // Where the system's number of mappings is exhausted, a stack goes without its guard.
  (void)::mprotect(mapping_, kGuard, PROT_NONE);
  stack_ = mapping_ + kGuard;
  stack_bytes_ = kStack;
  stagger_ = static_cast<std::size_t>(number * 37 % 64) * 256;
#if defined(GRADUS_SIMT_TSAN)
  tsan_ = __tsan_create_fiber(0);
#endif
  restart();
}

Fiber::~Fiber() {
#if defined(GRADUS_SIMT_TSAN)
  if (mapping_ && tsan_) __tsan_destroy_fiber(tsan_);
#endif
#if defined(GRADUS_SIMT_USES_UCONTEXT)
  delete static_cast<ucontext_t*>(saved_);
#endif
  if (mapping_) ::munmap(mapping_, mapping_bytes_);
}

void Fiber::restart() {
#if defined(GRADUS_SIMT_ASAN)
  __asan_unpoison_memory_region(stack_, stack_bytes_);
  fake_stack_ = nullptr;
#endif
#if defined(GRADUS_SIMT_TSAN)
  __tsan_destroy_fiber(tsan_);
  tsan_ = __tsan_create_fiber(0);
#endif
  char* top = mapping_ + mapping_bytes_ - stagger_;
#if defined(GRADUS_SIMT_USES_UCONTEXT)
  if (!saved_) saved_ = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(saved_);
  ::getcontext(context);
  context->uc_stack.ss_sp = mapping_ + kGuard;
  context->uc_stack.ss_size = static_cast<std::size_t>(top - mapping_) - kGuard;
  context->uc_link = nullptr;
  ::makecontext(context, entry_, 0);
#else
  // What gradus_simt_switch pops: six registers and the address of entry; above it a return address of zero, where
  // unwinding ends, 8 modulo 16 as the ABI has it at a function's entry.
  auto** slot = reinterpret_cast<void**>(top) - 3;
  *slot = nullptr;
  *--slot = reinterpret_cast<void*>(entry_);
  for (int i = 0; i < 6; ++i) *--slot = nullptr;
  saved_ = slot;
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
#if defined(GRADUS_SIMT_TSAN)
  if (!from.tsan_) from.tsan_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.tsan_, 0);
#endif
#if defined(GRADUS_SIMT_ASAN)
  left = &from;
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_, to.stack_bytes_);
#endif
#if defined(GRADUS_SIMT_USES_UCONTEXT)
  if (!from.saved_) from.saved_ = new ucontext_t;
  ::swapcontext(static_cast<ucontext_t*>(from.saved_), static_cast<ucontext_t*>(to.saved_));
#else
  gradus_simt_switch(&from.saved_, to.saved_);
#endif
#if defined(GRADUS_SIMT_ASAN)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(from.fake_stack_, &bottom, &bytes);
  if (!left->mapping_) left->stack_ = static_cast<const char*>(bottom), left->stack_bytes_ = bytes;
#endif
}

void Fiber::entered() {
#if defined(GRADUS_SIMT_ASAN)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  // The operating-system thread's own stack is learnt from its first switch away.
  if (!left->mapping_) left->stack_ = static_cast<const char*>(bottom), left->stack_bytes_ = bytes;
#endif
}

}  // namespace gradus::simt
