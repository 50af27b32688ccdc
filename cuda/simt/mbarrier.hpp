#pragma once
// mbarriers, and the TMA copies that complete them (sm_90), for cuda/ptx_sm90.cuh.
//
// A phase of an mbarrier is complete when all its arrivals have come and all bytes it was told to expect have been
// brought. A copy is done as late as CUDA allows: when everything else its phase needs has come and a thread waits for
// it. Whoever reads before waiting reads what was there.
//
// Misuse ends the launch: a barrier that is not initialised (or no longer, or overwritten), initialised twice, without
// the fence that TMA needs; more arrivals than it counts; copies misaligned, by something that is no tensor map, or of
// a block that ends before they have been waited for. A wait that never ends is found when nobody can go on.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/simt/tensor_map.hpp"
#include "cuda/simt/thread.hpp"

namespace gradus::simt {

struct Thread;
class Executor;

/// A copy under way.
struct TensorCopy {
  TensorMap map;
  std::array<int, 5> at;
  std::array<int, 2> tap;
  char* to;
  int issuer;          // the thread's number
  std::uint32_t time;  // the block's clock
  const void* barrier;
  Where where;
};

struct Mbarrier {
  std::uint64_t* address = nullptr;
  unsigned expected = 0;          // arrivals a phase takes
  unsigned pending = 0;           // still to come
  std::int64_t bytes = 0;         // expected and not yet brought
  std::int64_t flying_bytes = 0;  // of copies
  unsigned phase = 0;             // the one that is not complete
  bool fenced = false;            // may TMA use it?
  std::uint64_t word = 0;         // what the emulator keeps at the address
  std::vector<TensorCopy> copies;
  struct Waiter {
    Thread* thread;
    unsigned parity;
    Where where;
  };
  std::vector<Waiter> waiters;
};

/// A block's mbarriers.
class Mbarriers {
 public:
  void init(Executor& e, void* address, unsigned count, const Where& where);
  void invalidate(Executor& e, void* address, const Where& where);
  void fence() {
    for (Mbarrier& b : all_) b.fenced = true;
  }
  void expect(Executor& e, void* address, unsigned bytes, const Where& where);
  void arrive(Executor& e, void* address, const Where& where);
  void wait(Executor& e, void* address, unsigned parity, const Where& where);
  void copy(Executor& e, void* address, TensorCopy copy);

  void clear() { all_.clear(); }
  /// Who waits at which barrier, and what it lacks; empty if nobody does.
  std::string waiting_text(const Executor& e) const;
  /// A copy that nobody has waited for; null if there is none.
  const TensorCopy* unawaited() const;

 private:
  Mbarrier& at(Executor& e, const char* instruction, void* address, const Where& where);
  void advance(Executor& e, Mbarrier& b);
  void complete(Executor& e, Mbarrier& b);
  std::vector<Mbarrier> all_;
};

void mbarrier_init(void* address, unsigned count, const Where& where);
void mbarrier_invalidate(void* address, const Where& where);
void mbarrier_expect(void* address, unsigned bytes, const Where& where);
void mbarrier_arrive(void* address, const Where& where);
/// Waits until the phase of that parity is complete.
void mbarrier_wait(void* address, unsigned parity, const Where& where);
void fence_mbarrier_init();
void fence_proxy_async();
void tensor_copy(void* shared, const CUtensorMap* map, void* barrier, const std::array<int, 5>& at, int rank,
                 const int* tap, const Where& where);

}  // namespace gradus::simt
