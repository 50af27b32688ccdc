#pragma once
// Checked mode: every memory access of an emulated kernel is looked at.
//
//   const CheckReport report = check_kernels([&] { launch(my_kernel, grid, block, 0, nullptr, x, n); });
//   std::puts(to_string(report).c_str());
//
// The kernels' file must be compiled with instrumentation and linked with its hooks (CMake: gradus_checked_kernels; the
// mechanism is told in docs/emulator.md); the kernels themselves are not changed.
//
// What is found, each with its source line:
//   out of bounds, use after free, host memory, misaligned vectors     ends the launch, as on a GPU
//   reads of memory that nobody wrote (device and shared)
//   races: two threads, one place, at least one write, and nothing between them that orders them: a barrier within the
//     block, __syncwarp within the warp, the phase of an mbarrier, an atomic after __threadfence() between blocks, the
//     end of the launch
//   touching shared memory that a cp.async or TMA copy is still to write; wgmma reading what was written without a
//     fence.proxy.async
//   barriers and warp collectives that threads miss                    ends the launch
// And what is counted, by source line and per warp: the 32-byte sectors of global requests, the passes that bank
// conflicts cost in shared memory, bytes moved against bytes asked for.
//
// Limits. Blocks run one at a time while checking. A race between blocks is judged by what CUDA promises, not by what
// happened, so it is found in any order; but of the many readers of a word only two are remembered, and of its writers
// one for each four bytes. Lanes' accesses are matched into warp requests by how often each lane has come to the line,
// which is exact where lanes loop equally often. At most 32 blocks of a launch, and 256 rounds of a line in each, are
// counted.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/simt/runtime_api.hpp"
#include "cuda/simt/symbols.hpp"

namespace gradus::simt {

enum class FaultKind {
  out_of_bounds,
  use_after_free,
  not_device_memory,
  misaligned,
  uninitialised,
  shared_race,
  global_race,
  async_copy,
  async_proxy,
  synchronisation
};
const char* name(FaultKind);  // "out of bounds", …

/// One thing wrong at one place.
struct Finding {
  FaultKind kind;
  std::string kernel;
  SourceLine where;     // the access
  SourceLine other;     // of a race: the earlier access
  std::string message;  // the first time: threads, address, allocation
  std::int64_t times = 1;
};

/// One kind of access at one source line of one kernel.
struct LineReport {
  SourceLine where;
  bool shared = false, write = false, atomic = false;
  int bytes = 0;                   // a thread's
  std::int64_t requests = 0;       // of warps
  std::int64_t bytes_needed = 0;   // distinct bytes, request by request
  std::int64_t sectors = 0;        // global: 32-byte sectors moved
  std::int64_t ideal_sectors = 0;  // the fewest that hold the bytes needed
  std::int64_t passes = 0;         // shared: times the banks were gone through
  std::int64_t ideal_passes = 0;

  double sectors_per_request() const {
    return requests ? static_cast<double>(sectors) / static_cast<double>(requests) : 0;
  }
  /// 1: no conflict; 32: the worst.
  double bank_conflict_ways() const {
    return ideal_passes ? static_cast<double>(passes) / static_cast<double>(ideal_passes) : 0;
  }
};

/// The launches of one kernel with one configuration.
struct KernelReport {
  std::string kernel;
  dim3 grid, block;
  std::size_t static_shared = 0, dynamic_shared = 0;  // bytes a block
  int launches = 0;
  std::vector<LineReport> lines;  // by file and line
};

struct CheckReport {
  std::vector<Finding> findings;
  std::vector<KernelReport> kernels;
  bool clean() const { return findings.empty(); }
};

/// What limits how many blocks a multiprocessor holds.
struct Gpu {
  std::string name;
  int threads, blocks, registers;  // a multiprocessor's
  std::size_t shared;              // bytes, of which every block takes `reserved` besides its own
  std::size_t reserved;
};
/// "A100", "RTX 3090", "RTX 4090", "H100", "H200", "B200"; ValueError for another.
const Gpu& gpu_named(const std::string& name);
struct Occupancy {
  int blocks = 0;  // at once on a multiprocessor
  int threads = 0;
  std::string limit;  // "threads", "blocks", "shared memory", "registers"
};
/// registers: a thread's, as nvcc reports them (-Xptxas -v); 0 leaves them out.
Occupancy occupancy(const Gpu& gpu, int threads, std::size_t shared_bytes, int registers = 0);

/// Checks every kernel launched while it lives. One at a time (GraphError), and one thread at a time may use the
/// device.
class Checker {
 public:
  Checker();
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;
  CheckReport report() const;
  /// Adds a DeviceError that ended a launch: barriers and collectives that threads missed.
  void add_error(const std::string& what);

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Runs fn under a Checker. A DeviceError it throws is in the report.
CheckReport check_kernels(const std::function<void()>& fn);

/// Registers of a thread by kernel, as nvcc tells them (-Xptxas -v) in the file `path`; of several architectures the
/// last. Empty for an empty path; ValueError where the file cannot be read.
using Registers = std::map<std::string, int>;
Registers registers_of(const std::string& path);

/// Findings first, then a table for each kernel with its occupancy on the GPU named.
std::string to_string(const CheckReport& report, const std::string& gpu = "H100", const Registers& registers = {});

/// Is this program linked with the hooks of instrumented kernels?
extern bool hooks_linked;

// For the instrumentation's hooks (simt/checker_hooks.cpp).
enum class AccessKind : unsigned char { read, write, atomic };
/// A function was entered; accesses count from where that is the kernel, so that handing over its arguments does not.
void checked_entry(std::uintptr_t pc);
void checked_access(const void* p, std::size_t bytes, AccessKind kind, bool aligned, std::uintptr_t pc);

}  // namespace gradus::simt
