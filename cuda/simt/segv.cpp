#include "cuda/simt/segv.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <csignal>
#include <cstdint>
#include <mutex>

#include "core/error.hpp"
#include "cuda/simt/block.hpp"

namespace gradus::simt {

#if defined(__x86_64__) && !defined(GRADUS_SIMT_ASAN) && !defined(GRADUS_SIMT_TSAN)
namespace {

constexpr std::size_t kStack = 64 << 10;

struct sigaction before;
std::mutex installing;
thread_local void* fault_address = nullptr;
// Where the fault is told from: the fiber's own stack may be what overflowed.
thread_local char* landing_stack = nullptr;

/// Runs as if the kernel had called it.
[[noreturn]] void land() {
  const auto p = reinterpret_cast<std::uintptr_t>(fault_address);
  const auto stack = reinterpret_cast<std::uintptr_t>(executor->stack_begin());
  if (p < stack && p >= stack - 4096)
    executor->fault("a thread's stack overflows: its local variables are too large for the emulator");
  executor->fault(
      fmt::format("illegal address {}: touched by the kernel, and not memory of any kind "
                  "(checked mode names the line, see docs/checker.md)",
                  fault_address));
}

void handle(int signal, siginfo_t* info, void* context) {
  if (!executor || !landing_stack) {
    ::sigaction(signal, &before, nullptr);  // the instruction is run again, and its fault goes there
    return;
  }
  fault_address = info->si_addr;
  // Return to land() with an empty stack; 8 modulo 16, as at a function's entry.
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  registers[REG_RIP] = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(&land));
  registers[REG_RSP] = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(landing_stack + kStack - 72));
}

}  // namespace

void catch_segmentation_faults() {
  if (!landing_stack) {
    void* memory =
        ::mmap(nullptr, 2 * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return;
    landing_stack = static_cast<char*>(memory);
  }
  stack_t alternate{};
  if (::sigaltstack(nullptr, &alternate) == 0 && (alternate.ss_flags & SS_DISABLE) != 0) {
    alternate = {};
    alternate.ss_sp = landing_stack + kStack;
    alternate.ss_size = kStack;
    (void)::sigaltstack(&alternate, nullptr);
  }
  // Others (a test program, say) may have put theirs in place since.
  const std::lock_guard lock(installing);
  struct sigaction now {};
  if (::sigaction(SIGSEGV, nullptr, &now) != 0 || ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == handle))
    return;
  before = now;
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  (void)::sigaction(SIGSEGV, &action, nullptr);
}
#else
void catch_segmentation_faults() {}
#endif

}  // namespace gradus::simt
