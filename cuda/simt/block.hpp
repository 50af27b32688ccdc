#pragma once
// How a grid runs.
//
// A block runs on one operating-system thread, its threads one at a time, each on a fiber. A thread runs until it must
// wait (barrier, warp collective) and then hands over directly to the next one that can run: the next lane of its warp,
// else the next warp. A thread that ends leaves its fiber to the next that has not begun, so a kernel without
// collectives runs as a plain loop on one fiber. When no thread can run and some have not ended, the block is stuck,
// and the error says who waits where and who is missing.
//
// Blocks run in parallel on the host's cores (core/parallel.hpp) and in a shuffled, seeded order; in checked mode one
// at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/simt/fiber.hpp"
#include "cuda/simt/mbarrier.hpp"
#include "cuda/simt/thread.hpp"
#include "cuda/simt/warp.hpp"
#include "cuda/simt/wgmma.hpp"

namespace gradus::simt {

/// A kernel launch.
struct Launch {
  const void* kernel = nullptr;
  std::function<void()> thread;  // one thread of the grid
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  unsigned serial = 0;  // launches of this process are counted from 1
};

/// Runs the whole grid. Throws DeviceError on a fault in the kernel.
void run_grid(const Launch& launch);

struct Warp;

/// A copy of cp.async that has been asked for and not yet waited for.
struct AsyncCopy {
  void* to;
  const void* from;
  int bytes, source_bytes;
  int group;  // of this thread, from 0
  Where where;
};

/// One CUDA thread of the block that runs.
struct alignas(64) Thread {  // what a switch needs lies in one cache line
  uint3 index;
  int number = 0;  // in the block, x fastest
  int lane = 0;
  Warp* warp = nullptr;
  Fiber* fiber = nullptr;         // while it runs or waits
  std::vector<AsyncCopy> copies;  // oldest first
  int open_group = 0;             // copies asked for now belong to it
  // Checked mode: has the kernel been entered; the block's clock at the last barrier and the last __syncwarp of this
  // thread.
  bool in_kernel = false;
  std::uint32_t barrier_time = 0, warp_time = 0;
};

/// The emulator works for a thread: its own accesses are not the kernel's. (Templates of the standard library that both
/// use may be the instrumented ones.)
class OutsideKernel {
 public:
  explicit OutsideKernel(Thread& thread) : thread_(thread), before_(thread.in_kernel) { thread.in_kernel = false; }
  ~OutsideKernel() { thread_.in_kernel = before_; }
  OutsideKernel(const OutsideKernel&) = delete;
  OutsideKernel& operator=(const OutsideKernel&) = delete;

 private:
  Thread& thread_;
  bool before_;
};

struct Warp {
  /// What a waiting lane waits for.
  struct Arrival {
    Collective op;
    std::uint32_t mask;
    WarpOperand* operand;
    Where where;
  };
  int number = 0;
  std::uint32_t exists = 0;   // lanes
  std::uint32_t ready = 0;    // not begun, or woken
  std::uint32_t waiting = 0;  // in a collective
  std::uint32_t exited = 0;
  Arrival arrival[32] = {};
  Thread* thread[32] = {};

  template <class T>
  T& operand(int lane) {
    return *static_cast<T*>(arrival[lane].operand);
  }
};

/// Runs blocks on the calling operating-system thread.
class Executor {
 public:
  static constexpr int kMaxThreads = 1024, kMaxWarps = kMaxThreads / 32;

  Executor();
  ~Executor();
  static Executor& here();  // this operating-system thread's

  void run(const Launch& launch, uint3 block_index, std::uint32_t block_serial);

  // For the thread that runs.
  int barrier(BarrierKind kind, int predicate, const Where& where);
  void collective(Collective op, std::uint32_t mask, WarpOperand& operand, const Where& where);
  /// The current thread waits until another wakes it.
  void sleep();
  void wake(const Thread& thread) { set_ready(*thread.warp, 1u << thread.lane); }
  /// Ends the launch with a DeviceError: `what`, then the kernel, the block and the thread.
  [[noreturn]] void fault(const std::string& what);

  const Launch* launch = nullptr;
  Thread* current = nullptr;
  uint3 block_index{};
  std::uint32_t block_serial = 0;  // no other block this process runs has it
  std::uint32_t clock = 1;         // rises at every barrier and __syncwarp of the block
  int thread_count = 0;
  char* dynamic_shared = nullptr;
  std::size_t dynamic_shared_bytes = 0;  // of this launch
  Mbarriers mbarriers;                   // of this block
  std::unique_ptr<Wgmma> wgmma;          // what its warps have under way; made when first used

  std::string thread_text(const Thread& thread) const;  // "thread (3, 0, 0)"

  const char* stack_begin() const { return running_->stack_begin(); }  // of the fiber that runs
  const char* stack_end() const { return running_->stack_end(); }
  /// Does an address lie on the stack of any fiber of this executor?
  bool on_stack(const void* address) const;

 private:
  static void fiber_main();
  void begin(const Launch& launch, uint3 block_index, std::uint32_t block_serial);
  Thread* take_ready();
  void make_current(Thread* thread);
  void suspend();
  void release_barrier();
  void set_ready(Warp& warp, std::uint32_t lanes) {
    warp.ready |= lanes;
    warps_ready_ |= 1u << warp.number;
  }
  Fiber* free_fiber();
  [[noreturn]] void stuck();
  void check_end();
  std::string place_text() const;
  std::string missing_lanes(const Warp& warp, int lane) const;

  std::unique_ptr<Thread[]> threads_;
  std::unique_ptr<Warp[]> warps_;
  std::uint32_t warps_ready_ = 0;
  dim3 shape_{0, 0, 0};  // the block shape that threads_ and warps_ are set up for
  int warp_count_ = 0;
  int exited_ = 0;

  int barrier_waiting_ = 0;
  Where barrier_where_{};
  const Thread* barrier_first_ = nullptr;
  int barrier_sum_ = 0;     // predicates that were not zero, so far
  int barrier_result_ = 0;  // of the last complete barrier

  Fiber main_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_;
  Fiber* running_ = nullptr;
  std::string fault_;
  bool faulted_ = false;
  char* shared_mapping_ = nullptr;
};

/// The executor whose block runs on this operating-system thread; null outside kernels.
extern constinit thread_local Executor* executor;

}  // namespace gradus::simt
