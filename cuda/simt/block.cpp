#include "cuda/simt/block.hpp"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>
#include <numeric>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "cuda/simt/launch.hpp"
#include "cuda/simt/observer.hpp"
#include "cuda/simt/segv.hpp"
#include "cuda/simt/warp_finish.hpp"

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace gradus::simt {

constinit thread_local Executor* executor = nullptr;
Observer* observer = nullptr;

namespace {

constexpr std::size_t kMaxDynamicShared = 256 << 10;  // more than any GPU has; simt::launch knows the emulated one's

std::atomic<unsigned> order_seed{0};

/// A permutation of [0, n) without a table: i -> (a i + b) mod n, a and n without a common divisor.
struct Shuffle {
  std::uint64_t n, a, b;
  Shuffle(std::uint64_t count, std::uint64_t seed) : n(count) {
    std::uint64_t x = seed * 0x9e3779b97f4a7c15u;  // splitmix64
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    b = (x >> 32) % n;
    a = (x & 0xffffffffu) % n;
    while (std::gcd(a, n) != 1) a = (a + 1) % n + (n == 1 ? 1 : 0);
  }
  std::uint64_t operator()(std::uint64_t i) const {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(a) * i + b) % n);
  }
};

/// A GPU keeps denormal numbers; the pool's threads flush them.
class KeepDenormals {
 public:
#if defined(__x86_64__)
  KeepDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ & ~0x8040u); }
  ~KeepDenormals() { _mm_setcsr(before_); }
#else
  KeepDenormals() = default;
  ~KeepDenormals() = default;
#endif
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
  [[maybe_unused]] unsigned before_ = 0;
};

std::string text(const Where& where) { return fmt::format("{}:{}", where.file, where.line); }

std::string lanes_text(std::uint32_t lanes) {
  std::string result;
  for (int first = 0; first < 32; ++first) {
    if ((lanes >> first & 1u) == 0) continue;
    int last = first;
    while (last < 31 && (lanes >> (last + 1) & 1u) != 0) ++last;
    if (!result.empty()) result += ", ";
    result += first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
    first = last;
  }
  return result;
}

}  // namespace

bool same_place(const Where& a, const Where& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

void set_seed(unsigned seed) { order_seed.store(seed); }

void run_grid(const Launch& launch) {
  const std::uint64_t blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  static std::atomic<std::uint32_t> blocks_so_far{0};
  const std::uint32_t first_serial = blocks_so_far.fetch_add(static_cast<std::uint32_t>(blocks)) + 1;
  catch_segmentation_faults();
  const Shuffle order(blocks, std::uint64_t{order_seed.load()} << 32 | launch.serial);
  const auto run_block = [&](std::uint64_t i) {
    const std::uint64_t block = order(i);
    const uint3 index{static_cast<unsigned>(block % launch.grid.x),
                      static_cast<unsigned>(block / launch.grid.x % launch.grid.y),
                      static_cast<unsigned>(block / launch.grid.x / launch.grid.y)};
    Executor::here().run(launch, index, first_serial + static_cast<std::uint32_t>(block));
  };
  if (observer) {
    observer->launch_begins(launch);
    try {
      for (std::uint64_t i = 0; i < blocks; ++i) run_block(i);
    } catch (...) {
      observer->launch_ends(launch, true);
      throw;
    }
    observer->launch_ends(launch, false);
    return;
  }
  // Enough chunks that the cores end together, and not so many that handing them out costs.
  const std::uint64_t grain = std::max<std::uint64_t>(1, blocks / (8 * static_cast<std::uint64_t>(num_threads())));
  parallel_ranges(static_cast<std::int64_t>(blocks), static_cast<std::int64_t>(grain),
                  [&](std::int64_t begin, std::int64_t end) {
                    const KeepDenormals keep;
                    for (std::int64_t i = begin; i < end; ++i) run_block(static_cast<std::uint64_t>(i));
                  });
}

Executor::Executor() : threads_(new Thread[kMaxThreads]), warps_(new Warp[kMaxWarps]) {
  void* mapping =
      ::mmap(nullptr, kMaxDynamicShared, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check<DeviceError>(mapping != MAP_FAILED, "simt: no memory for an emulated multiprocessor");
  dynamic_shared = shared_mapping_ = static_cast<char*>(mapping);
  catch_segmentation_faults();
}

Executor::~Executor() { ::munmap(shared_mapping_, kMaxDynamicShared); }

Executor& Executor::here() {
  thread_local Executor instance;
  return instance;
}

void Executor::begin(const Launch& l, uint3 index, std::uint32_t serial) {
  launch = &l;
  block_index = index;
  block_serial = serial;
  if (l.block.x != shape_.x || l.block.y != shape_.y || l.block.z != shape_.z) {
    shape_ = l.block;
    thread_count = static_cast<int>(shape_.x * shape_.y * shape_.z);
    warp_count_ = (thread_count + 31) / 32;
    for (int w = 0; w < warp_count_; ++w) warps_[w].number = w, warps_[w].exists = 0;
    for (int i = 0; i < thread_count; ++i) {
      const auto u = static_cast<unsigned>(i);
      Thread& t = threads_[i];
      t.index = {u % shape_.x, u / shape_.x % shape_.y, u / shape_.x / shape_.y};
      t.number = i;
      t.lane = i % 32;
      t.warp = &warps_[i / 32];
      t.warp->exists |= 1u << t.lane;
      t.warp->thread[t.lane] = &t;
    }
  }
  for (int i = 0; i < thread_count; ++i) {
    Thread& t = threads_[i];
    t.fiber = nullptr;
    t.open_group = 0;
    t.in_kernel = false;
    t.barrier_time = t.warp_time = 0;
  }
  warps_ready_ = 0;
  for (int w = 0; w < warp_count_; ++w) {
    Warp& warp = warps_[w];
    warp.ready = warp.waiting = warp.exited = 0;  // after a fault anything may be left over
    set_ready(warp, warp.exists);
  }
  mbarriers.clear();
  if (wgmma) wgmma->clear();
  clock = 1;
  exited_ = barrier_waiting_ = barrier_sum_ = 0;
  current = &threads_[0];
  blockIdx = index;
  blockDim = l.block;
  gridDim = l.grid;
  dynamic_shared_bytes = l.shared_bytes;
  // What the kernel reads without having written it is NaN (as float, half and bf16).
  std::memset(dynamic_shared, 0xff, dynamic_shared_bytes);
}

void Executor::run(const Launch& l, uint3 index, std::uint32_t serial) {
  begin(l, index, serial);
  executor = this;
  if (observer) observer->block_begins(*this);
  Thread* first = take_ready();
  first->fiber = free_fiber();
  make_current(first);
  running_ = first->fiber;
  Fiber::switch_to(main_, *running_);
  if (observer) observer->block_ends(*this);
  executor = nullptr;
  if (faulted_) {
    faulted_ = false;
    free_.clear();
    for (const auto& fiber : fibers_) {
      fiber->restart();
      free_.push_back(fiber.get());
    }
    for (int i = 0; i < thread_count; ++i) threads_[i].copies.clear();
    throw DeviceError(std::exchange(fault_, {}));
  }
  check_end();
}

/// What a block must not leave behind.
void Executor::check_end() {
  std::string left;
  if (const TensorCopy* copy = mbarriers.unawaited())
    left = fmt::format("cp.async.bulk.tensor: the block ends before anybody has waited for the copy\n  at {}",
                       text(copy->where));
  if (left.empty() && wgmma) left = wgmma->left_text();
  if (!left.empty()) throw DeviceError(fmt::format("{}\n  {}", left, place_text()));
}

/// Runs threads one after another, as long as they need no other fiber.
void Executor::fiber_main() {
  Fiber::entered();
  Executor& e = *executor;
  for (;;) {
    e.launch->thread();

    Thread& ended = *e.current;
    Fiber& self = *std::exchange(ended.fiber, nullptr);
    ended.copies.clear();
    Warp& warp = *ended.warp;
    warp.exited |= 1u << ended.lane;
    ++e.exited_;
    // A __syncwarp does not wait for lanes that have ended.
    for (std::uint32_t lanes = warp.waiting; lanes != 0; lanes &= lanes - 1) {
      const int lane = std::countr_zero(lanes);
      if (warp.arrival[lane].op != Collective::syncwarp || (warp.waiting >> lane & 1u) == 0) continue;
      if (const std::uint32_t done = finish_collective(e, warp, lane)) e.set_ready(warp, done);
    }

    Thread* next = e.take_ready();
    if (!next && e.exited_ < e.thread_count) e.stuck();
    if (next) e.make_current(next);
    if (next && !next->fiber) {
      next->fiber = &self;
      continue;
    }
    e.free_.push_back(&self);
    e.running_ = next ? next->fiber : &e.main_;
    Fiber::switch_to(self, *e.running_);
    // Someone took this fiber from the free ones, for the thread that is now current.
  }
}

/// The next thread that can run, from the current one on and within its warp if possible; null if there is none.
Thread* Executor::take_ready() {
  Warp* warp = current->warp;
  if (warp->ready == 0 && warp->waiting != 0)
    if (const std::uint32_t group = finish_coalesced(*warp)) set_ready(*warp, group);
  if (warps_ready_ == 0) return nullptr;
  std::uint32_t lanes = warp->ready;
  if (lanes != 0) {
    const std::uint32_t later = lanes & ~((1u << current->lane) - 1u);
    if (later != 0) lanes = later;
  } else {
    const std::uint32_t later = warps_ready_ & ~((1u << warp->number) - 1u);
    warp = &warps_[std::countr_zero(later != 0 ? later : warps_ready_)];
    lanes = warp->ready;
  }
  const int lane = std::countr_zero(lanes);
  warp->ready &= ~(1u << lane);
  if (warp->ready == 0) warps_ready_ &= ~(1u << warp->number);
  return warp->thread[lane];
}

inline void Executor::make_current(Thread* thread) {
  current = thread;
  threadIdx = thread->index;
}

Fiber* Executor::free_fiber() {
  if (free_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(&Executor::fiber_main, static_cast<int>(fibers_.size())));
    return fibers_.back().get();
  }
  Fiber* fiber = free_.back();
  free_.pop_back();
  return fiber;
}

/// The current thread waits; returns when another has woken it and its turn has come.
void Executor::suspend() {
  Thread* next = take_ready();
  if (!next) stuck();
  if (next == current) return;  // woken by take_ready
  if (!next->fiber) next->fiber = free_fiber();
  // A large block's stacks do not stay in the first cache, but the order of threads is known: ask for those to come.
  const int n = next->number;
  if (n + 4 < thread_count) {
    __builtin_prefetch(&threads_[n + 4]);
    if (const Fiber* f = threads_[n + 3].fiber) __builtin_prefetch(f);
    if (const Fiber* f = threads_[n + 2].fiber) f->prefetch();
  }
  Fiber& self = *current->fiber;
  make_current(next);
  running_ = next->fiber;
  Fiber::switch_to(self, *running_);
}

void Executor::sleep() { suspend(); }

int Executor::barrier(BarrierKind kind, int predicate, const Where& where) {
  const OutsideKernel outside(*current);
  if (barrier_waiting_ == 0) {
    barrier_where_ = where;
    barrier_first_ = current;
  } else if (!same_place(where, barrier_where_)) {
    fault(fmt::format("__syncthreads: threads of a block wait at different barriers\n  {} at {}\n  {} at {}",
                      thread_text(*barrier_first_), text(barrier_where_), thread_text(*current), text(where)));
  }
  barrier_sum_ += predicate != 0;
  if (++barrier_waiting_ == thread_count)
    release_barrier();
  else
    suspend();
  switch (kind) {
    case BarrierKind::sync: return 0;
    case BarrierKind::count: return barrier_result_;
    case BarrierKind::all: return barrier_result_ == thread_count;
    case BarrierKind::any: break;
  }
  return barrier_result_ != 0;
}

void Executor::release_barrier() {
  barrier_waiting_ = 0;
  barrier_result_ = std::exchange(barrier_sum_, 0);
  for (int w = 0; w < warp_count_; ++w) {
    Warp& warp = warps_[w];
    const std::uint32_t self = &warp == current->warp ? 1u << current->lane : 0u;
    if ((warp.exists & ~self) != 0) set_ready(warp, warp.exists & ~self);
  }
  if (observer) {
    ++clock;
    for (int i = 0; i < thread_count; ++i) threads_[i].barrier_time = clock;
    observer->barrier_passed(*this);
  }
}

void Executor::collective(Collective op, std::uint32_t mask, WarpOperand& operand, const Where& where) {
  const OutsideKernel outside(*current);
  Warp& warp = *current->warp;
  const int lane = current->lane;
  const std::uint32_t self = 1u << lane;
  if ((mask & self) == 0)
    fault(fmt::format("{}: the mask must hold the calling lane, but lane {} calls with mask {:#010x}\n  at {}",
                      name(op), lane, mask, text(where)));
  warp.arrival[lane] = {op, mask, &operand, where};
  warp.waiting |= self;
  const std::uint32_t done = finish_collective(*this, warp, lane);
  if (done == 0) {
    suspend();
  } else if ((done & ~self) != 0) {
    set_ready(warp, done & ~self);
  }
}

std::string Executor::thread_text(const Thread& thread) const {
  return fmt::format("thread ({}, {}, {})", thread.index.x, thread.index.y, thread.index.z);
}

std::string Executor::place_text() const {
  return fmt::format("kernel  {}<<<({}, {}, {}), ({}, {}, {}), {}>>>\n  block ({}, {}, {})",
                     kernel_name(launch->kernel), launch->grid.x, launch->grid.y, launch->grid.z, launch->block.x,
                     launch->block.y, launch->block.z, launch->shared_bytes, block_index.x, block_index.y,
                     block_index.z);
}

void Executor::fault(const std::string& what) {
  fault_ = fmt::format("{}\n  {}, {}", what, place_text(), thread_text(*current));
  faulted_ = true;
  Fiber& self = *running_;
  running_ = &main_;
  Fiber::switch_to(self, main_);
  std::abort();  // nothing switches back to a fiber that has faulted
}

/// Why the collective that `lane` waits in does not come about.
std::string Executor::missing_lanes(const Warp& warp, int lane) const {
  const Warp::Arrival& a = warp.arrival[lane];
  std::string message = fmt::format("{}: lanes of the mask {:#010x} never come\n  lane {} of warp {} waits at {}",
                                    name(a.op), a.mask, lane, warp.number, text(a.where));
  std::uint32_t at_barrier = 0, gone = 0;
  for (int l = 0; l < 32; ++l) {
    const std::uint32_t bit = 1u << l;
    if ((a.mask & warp.exists & bit) == 0) continue;
    if ((warp.exited & bit) != 0) {
      gone |= bit;
    } else if ((warp.waiting & bit) == 0) {
      at_barrier |= bit;
    } else if (const Warp::Arrival& other = warp.arrival[l]; other.op != a.op || other.mask != a.mask) {
      message += fmt::format("\n  lane {} waits in {} with mask {:#010x} at {}", l, name(other.op), other.mask,
                             text(other.where));
    }
  }
  if (gone != 0) message += fmt::format("\n  lanes {} have returned from the kernel", lanes_text(gone));
  if (at_barrier != 0)
    message += fmt::format("\n  lanes {} wait at __syncthreads at {}", lanes_text(at_barrier), text(barrier_where_));
  return message;
}

void Executor::stuck() {
  for (int w = 0; w < warp_count_; ++w)
    if (warps_[w].waiting != 0) fault(missing_lanes(warps_[w], std::countr_zero(warps_[w].waiting)));
  if (const std::string waiting = mbarriers.waiting_text(*this); !waiting.empty())
    fault("mbarrier.try_wait: the phase never completes" + waiting);
  std::string who;
  for (int w = 0; w < warp_count_; ++w) {
    if (warps_[w].exited == 0) continue;
    if (who.size() > 200) {
      who += ", …";
      break;
    }
    who += fmt::format("{}lanes {} of warp {}", who.empty() ? "" : "; ", lanes_text(warps_[w].exited), w);
  }
  fault(fmt::format("__syncthreads: {} of {} threads never come\n  {} waits at {}\n  returned from the kernel: {}",
                    exited_, thread_count, thread_text(*barrier_first_), text(barrier_where_), who));
}

bool Executor::on_stack(const void* address) const {
  const char* p = static_cast<const char*>(address);
  for (const auto& fiber : fibers_)
    if (p >= fiber->stack_begin() && p < fiber->stack_end()) return true;
  return false;
}

// What kernels call.

int barrier(BarrierKind kind, int predicate, const Where& where) { return executor->barrier(kind, predicate, where); }
void collective(Collective op, std::uint32_t mask, WarpOperand& operand, const Where& where) {
  executor->collective(op, mask, operand, where);
}
int lane_id() { return executor->current->lane; }
void* dynamic_shared_memory() { return executor->dynamic_shared; }

void fence() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (observer) observer->fence(*executor);
}

long long ticks() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void trap(const char* what, const Where& where) {
  const OutsideKernel outside(*executor->current);
  executor->fault(fmt::format("{}\n  at {}", what, text(where)));
}

}  // namespace gradus::simt
