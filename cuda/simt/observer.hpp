#pragma once
// Who watches an emulated device: checked mode. Null unless one is set, and then blocks run one at a time.

#include <cstddef>

#include "cuda/simt/block.hpp"

namespace gradus::simt {

class Observer {
 public:
  virtual ~Observer() = default;

  virtual void launch_begins(const Launch&) = 0;
  virtual void launch_ends(const Launch&, bool faulted) = 0;
  virtual void block_begins(const Executor&) = 0;
  virtual void block_ends(const Executor&) = 0;
  /// All threads of the block passed a barrier; the lanes of `mask` passed a __syncwarp.
  virtual void barrier_passed(const Executor&) = 0;
  virtual void syncwarp_passed(const Executor&, const Warp&, std::uint32_t mask) = 0;
  virtual void fence(const Executor&) = 0;

  // What the emulator itself does for the current thread: no instrumentation sees it.
  virtual void ldmatrix_row(const Executor&, const Thread&, const void* row, const Where&) = 0;
  virtual void async_copy_begins(const Executor&, const AsyncCopy&) = 0;
  virtual void async_copy_arrives(const Executor&, const AsyncCopy&) = 0;

  /// The current thread arrives at a barrier object and what it did before is done; everyone has; the current thread
  /// has learnt of the last phase completed.
  virtual void released(const Executor&, const void* barrier) = 0;
  virtual void phase_completed(const Executor&, const void* barrier) = 0;
  virtual void acquired(const Executor&, const void* barrier) = 0;
  /// What the current thread wrote to shared memory may be read by TMA and wgmma.
  virtual void proxy_fence(const Executor&) = 0;
  virtual void tensor_copy_begins(const Executor&, const TensorCopy&) = 0;
  virtual void tensor_copy_arrives(const Executor&, const TensorCopy&) = 0;
  /// wgmma reads 16 bytes of shared memory for `reader`: when it is issued and when it is done, anywhere between.
  virtual void wgmma_reads(const Executor&, const Thread& reader, const void* chunk, bool done, const Where&) = 0;

  // Device memory.
  virtual void allocated(void* p, std::size_t bytes) = 0;
  virtual void freed(void* p, std::size_t bytes) = 0;
  virtual void written(const void* p, std::size_t bytes) = 0;              // by the host, or cudaMemset
  virtual void copied(void* to, const void* from, std::size_t bytes) = 0;  // device to device
};

extern Observer* observer;

}  // namespace gradus::simt
