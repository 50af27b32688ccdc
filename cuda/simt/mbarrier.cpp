#include "cuda/simt/mbarrier.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.hpp"
#include "cuda/simt/block.hpp"
#include "cuda/simt/observer.hpp"

namespace gradus::simt {
namespace {

constexpr std::int64_t kMostBytes = (1 << 20) - 1;  // and arrivals

std::string text(const Where& where) { return fmt::format("{}:{}", where.file, where.line); }

/// What memory holds in place of a barrier: nothing a kernel would write.
std::uint64_t word_of(const Mbarrier& b) {
  return 0x6d62617200000000u ^ (std::uint64_t{b.phase} << 40 | std::uint64_t{b.pending} << 20 | b.expected);
}

/// All that is left is to bring what has been asked for.
bool can_complete(const Mbarrier& b) { return b.pending == 0 && b.bytes == b.flying_bytes; }

void bring(const Executor& e, const TensorCopy& c) {
  each_row(c.map, c.at, c.tap, [&](const BoxRow& row) {
    for (unsigned i = 0; i < row.bytes; i += 16) {
      const auto to = swizzled(reinterpret_cast<std::uintptr_t>(c.to) + row.offset + i, c.map.swizzle);
      const unsigned valid = row.valid > i ? std::min(row.valid - i, 16u) : 0;
      char chunk[16] = {};
      if (valid > 0) std::memcpy(chunk, row.from + i, valid);
      std::memcpy(reinterpret_cast<void*>(to), chunk, 16);
    }
  });
  if (observer) observer->tensor_copy_arrives(e, c);
}

}  // namespace

Mbarrier& Mbarriers::at(Executor& e, const char* instruction, void* address, const Where& where) {
  for (Mbarrier& b : all_) {
    if (b.address != address) continue;
    if (*b.address != b.word)
      e.fault(fmt::format("{}: the mbarrier has been overwritten\n  at {}", instruction, text(where)));
    return b;
  }
  e.fault(fmt::format("{}: there is no mbarrier (mbarrier.init) at this address\n  at {}", instruction, text(where)));
}

void Mbarriers::init(Executor& e, void* address, unsigned count, const Where& where) {
  if (reinterpret_cast<std::uintptr_t>(address) % 8 != 0)
    e.fault(
        fmt::format("mbarrier.init: an mbarrier must be aligned to 8 bytes, got {}\n  at {}", address, text(where)));
  if (count < 1 || count > kMostBytes)
    e.fault(fmt::format("mbarrier.init: counts 1 to {} arrivals, got {}\n  at {}", kMostBytes, count, text(where)));
  for (const Mbarrier& b : all_)
    if (b.address == address)
      e.fault(fmt::format("mbarrier.init: a live mbarrier is there (mbarrier.inval ends it)\n  at {}", text(where)));
  Mbarrier b;
  b.address = static_cast<std::uint64_t*>(address);
  b.expected = b.pending = count;
  *b.address = b.word = word_of(b);
  all_.push_back(b);
}

void Mbarriers::invalidate(Executor& e, void* address, const Where& where) {
  const Mbarrier& b = at(e, "mbarrier.inval", address, where);
  if (!b.waiters.empty() || !b.copies.empty())
    e.fault(fmt::format("mbarrier.inval: threads or copies still use the mbarrier\n  at {}", text(where)));
  *b.address = ~std::uint64_t{0};
  all_.erase(all_.begin() + (&b - all_.data()));
}

/// Wakes who can go on: in the next phase, or because the last copies can now be brought.
void Mbarriers::advance(Executor& e, Mbarrier& b) {
  if (can_complete(b) && b.copies.empty()) {
    ++b.phase;
    b.pending = b.expected;
    if (observer) observer->phase_completed(e, b.address);
  }
  *b.address = b.word = word_of(b);
  std::erase_if(b.waiters, [&](const Mbarrier::Waiter& w) {
    const bool goes_on = (b.phase & 1u) != w.parity || can_complete(b);
    if (goes_on) e.wake(*w.thread);
    return goes_on;
  });
}

/// Brings the phase's copies and ends it.
void Mbarriers::complete(Executor& e, Mbarrier& b) {
  b.bytes -= std::exchange(b.flying_bytes, 0);
  for (const TensorCopy& c : std::exchange(b.copies, {})) bring(e, c);
  advance(e, b);
}

void Mbarriers::expect(Executor& e, void* address, unsigned bytes, const Where& where) {
  Mbarrier& b = at(e, "mbarrier.expect_tx", address, where);
  if (can_complete(b)) complete(e, b);  // nobody waited for the phase, but it is over
  b.bytes += bytes;
  if (b.bytes > kMostBytes)
    e.fault(fmt::format("mbarrier.expect_tx: a phase counts up to {} bytes, got {}\n  at {}", kMostBytes, b.bytes,
                        text(where)));
}

void Mbarriers::arrive(Executor& e, void* address, const Where& where) {
  Mbarrier& b = at(e, "mbarrier.arrive", address, where);
  if (can_complete(b)) complete(e, b);
  if (b.pending == 0)
    e.fault(fmt::format("mbarrier.arrive: more arrivals than the {} of a phase\n  at {}", b.expected, text(where)));
  --b.pending;
  if (observer) {
    observer->released(e, b.address);
    ++e.clock;
  }
  advance(e, b);
}

void Mbarriers::wait(Executor& e, void* address, unsigned parity, const Where& where) {
  for (;;) {
    Mbarrier& b = at(e, "mbarrier.try_wait", address, where);
    if ((b.phase & 1u) != parity) {
      if (observer) observer->acquired(e, b.address);
      return;
    }
    if (can_complete(b)) {
      complete(e, b);
      continue;
    }
    b.waiters.push_back({e.current, parity, where});
    e.sleep();
  }
}

void Mbarriers::copy(Executor& e, void* address, TensorCopy copy) {
  Mbarrier& b = at(e, "cp.async.bulk.tensor", address, copy.where);
  if (!b.fenced)
    e.fault(fmt::format("cp.async.bulk.tensor: the mbarrier was initialised without a fence.mbarrier_init\n  at {}",
                        text(copy.where)));
  b.flying_bytes += copy.map.box_bytes();
  b.copies.push_back(copy);
  advance(e, b);
}

std::string Mbarriers::waiting_text(const Executor& e) const {
  std::string result;
  for (const Mbarrier& b : all_)
    if (!b.waiters.empty()) {
      const Mbarrier::Waiter& w = b.waiters.front();
      result += fmt::format(
          "\n  {}{} waits for parity {} at {}: phase {} lacks {} of {} arrivals, and {} bytes more are expected than "
          "copies bring",
          e.thread_text(*w.thread),
          b.waiters.size() > 1 ? fmt::format(" and {} others", b.waiters.size() - 1) : std::string(), w.parity,
          text(w.where), b.phase, b.pending, b.expected, b.bytes - b.flying_bytes);
    }
  return result;
}

const TensorCopy* Mbarriers::unawaited() const {
  for (const Mbarrier& b : all_)
    if (!b.copies.empty()) return &b.copies.front();
  return nullptr;
}

// What kernels call.

void mbarrier_init(void* address, unsigned count, const Where& where) {
  const OutsideKernel outside(*executor->current);
  executor->mbarriers.init(*executor, address, count, where);
}
void mbarrier_invalidate(void* address, const Where& where) {
  const OutsideKernel outside(*executor->current);
  executor->mbarriers.invalidate(*executor, address, where);
}
void mbarrier_expect(void* address, unsigned bytes, const Where& where) {
  const OutsideKernel outside(*executor->current);
  executor->mbarriers.expect(*executor, address, bytes, where);
}
void mbarrier_arrive(void* address, const Where& where) {
  const OutsideKernel outside(*executor->current);
  executor->mbarriers.arrive(*executor, address, where);
}
void mbarrier_wait(void* address, unsigned parity, const Where& where) {
  const OutsideKernel outside(*executor->current);
  executor->mbarriers.wait(*executor, address, parity, where);
}

void fence_mbarrier_init() { executor->mbarriers.fence(); }
void fence_proxy_async() {
  executor->mbarriers.fence();
  if (!observer) return;
  observer->proxy_fence(*executor);
  ++executor->clock;
}

void tensor_copy(void* shared, const CUtensorMap* map, void* barrier, const std::array<int, 5>& at, int rank,
                 const int* tap, const Where& where) {
  const OutsideKernel outside(*executor->current);
  Executor& e = *executor;
  const TensorMap* m = tensor_map(map);
  if (!m)
    e.fault(
        fmt::format("cp.async.bulk.tensor: no tensor map at {}\n  at {}", static_cast<const void*>(map), text(where)));
  if (m->rank != rank || m->im2col != (tap != nullptr))
    e.fault(fmt::format("cp.async.bulk.tensor: a {}-dimensional {} copy by the map of a {}-dimensional {} one\n  at {}",
                        rank, tap ? "im2col" : "tiled", m->rank, m->im2col ? "im2col" : "tiled", text(where)));
  // A swizzle works on address bits 7 to 9: its tiles begin where its pattern does.
  const std::uintptr_t alignment = m->swizzle == 0 ? 128 : 8u * m->swizzle;
  if (reinterpret_cast<std::uintptr_t>(shared) % alignment != 0)
    e.fault(fmt::format("cp.async.bulk.tensor: the place in shared memory must be aligned to {} bytes, got {}\n  at {}",
                        alignment, shared, text(where)));
  const TensorCopy copy{*m,
                        at,
                        tap ? std::array<int, 2>{tap[0], tap[1]} : std::array<int, 2>{},
                        static_cast<char*>(shared),
                        e.current->number,
                        e.clock,
                        barrier,
                        where};
  if (observer) observer->tensor_copy_begins(e, copy);
  e.mbarriers.copy(e, barrier, copy);
}

}  // namespace gradus::simt
