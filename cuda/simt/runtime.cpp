#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "cuda/simt/block.hpp"
#include "cuda/simt/device_memory.hpp"
#include "cuda/simt/launch.hpp"
#include "cuda/simt/observer.hpp"
#include "cuda/simt/runtime_api.hpp"

namespace {
using Work = std::function<void()>;
}

struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {
/// Work that is being recorded. Ends for all streams that joined it at once.
struct Capture {
  CUgraph_st* graph = nullptr;  // null once it has ended
};
}  // namespace

struct CUstream_st {
  std::shared_ptr<Capture> capture;
  bool origin = false;  // the stream that the capture began on
  CUgraph_st* recording() const { return capture ? capture->graph : nullptr; }
};
struct CUevent_st {
  std::chrono::steady_clock::time_point when{};
  std::shared_ptr<Capture> capture;  // recorded in a stream under capture: who waits for it joins that capture
  bool timed = true;
};

namespace gradus::simt {
namespace {

constexpr std::size_t kPage = 4096;
// The emulated GPU: the limits of an H100.
constexpr int kMajor = 9, kMinor = 0, kMultiprocessors = 132;
constexpr std::size_t kSharedOptIn = 227 << 10, kSharedPerMultiprocessor = 228 << 10;

long number_from_environment(const char* name, long otherwise, long least, long most) {
  const char* text = std::getenv(name);
  if (!text || !*text) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  return *end == '\0' && value >= least && value <= most ? value : otherwise;
}

int device_count() {
  static const int count = static_cast<int>(number_from_environment("GRADUS_SIMT_DEVICES", 1, 0, 16));
  return count;
}

struct Memory {
  std::mutex mutex;
  std::map<std::uintptr_t, Allocation> live;  // by beginning
  std::map<int, std::size_t> used, capacity;
  std::map<std::uintptr_t, Allocation> blocks;  // parts of allocations, as an allocator above gave them out
  unsigned next_id = 1;
};
Memory& memory() {
  static auto* instance = new Memory;  // tensors may outlive every static object
  return *instance;
}

std::size_t capacity(Memory& m, int device) {
  const auto set = m.capacity.find(device);
  if (set != m.capacity.end()) return set->second;
  static const long mib = number_from_environment("GRADUS_SIMT_MEMORY_MIB", 8192, 1, 1L << 24);
  return static_cast<std::size_t>(mib) << 20;
}

std::size_t mapped_bytes(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage + kPage; }  // and a guard page

cudaError_t allocate(void** p, std::size_t bytes, int device) {
  *p = nullptr;
  if (bytes == 0) return cudaSuccess;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  if (device >= 0 && m.used[device] + bytes > capacity(m, device)) return cudaErrorMemoryAllocation;
  const std::size_t mapped = mapped_bytes(bytes);
  void* data = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return cudaErrorMemoryAllocation;
  (void)::mprotect(static_cast<char*>(data) + mapped - kPage, kPage, PROT_NONE);
  std::memset(data, 0xff, bytes);  // reading what nobody wrote gives NaN
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  m.live[begin] = {begin, bytes, device, m.next_id++};
  m.used[device] += bytes;
  if (observer) observer->allocated(data, bytes);
  *p = data;
  return cudaSuccess;
}

cudaError_t release(void* p, bool host) {
  if (!p) return cudaSuccess;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto found = m.live.find(reinterpret_cast<std::uintptr_t>(p));
  if (found == m.live.end() || (found->second.device < 0) != host) return cudaErrorInvalidValue;
  const std::size_t bytes = found->second.bytes;
  m.used[found->second.device] -= bytes;
  m.live.erase(found);
  if (observer) {
    // The addresses are not given out again, so that a use after free is known for one.
    observer->freed(p, bytes);
    (void)::madvise(p, mapped_bytes(bytes), MADV_DONTNEED);
    (void)::mprotect(p, mapped_bytes(bytes), PROT_NONE);
  } else {
    ::munmap(p, mapped_bytes(bytes));
  }
  return cudaSuccess;
}

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

/// Remembers an error for cudaGetLastError.
cudaError_t note(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

CUstream_st& stream_of(cudaStream_t stream) {
  static CUstream_st default_stream;
  return stream ? *stream : default_stream;
}

/// Does it, or records it.
void submit(cudaStream_t stream, Work work) {
  if (CUgraph_st* graph = stream_of(stream).recording())
    graph->work.push_back(std::move(work));
  else
    work();
}

bool within(const void* p, std::size_t bytes, const Allocation& a) {
  const auto begin = reinterpret_cast<std::uintptr_t>(p);
  return a.bytes != 0 && begin >= a.begin && bytes <= a.bytes && begin - a.begin <= a.bytes - bytes;
}

bool is_device(const void* p, std::size_t bytes) {
  const Allocation a = find_allocation(p);
  return a.device >= 0 && within(p, bytes, a);
}

cudaError_t copy_rows(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                      std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (width == 0 || height == 0) return cudaSuccess;
  if (!to || !from || to_pitch < width || from_pitch < width) return note(cudaErrorInvalidValue);
  const std::size_t to_bytes = (height - 1) * to_pitch + width, from_bytes = (height - 1) * from_pitch + width;
  const bool to_device = is_device(to, to_bytes), from_device = is_device(from, from_bytes);
  const bool wants_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool wants_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault && ((wants_to && !to_device) || (wants_from && !from_device)))
    return note(cudaErrorInvalidValue);
  submit(stream, [=] {
    for (std::size_t y = 0; y < height; ++y) {
      char* row = static_cast<char*>(to) + y * to_pitch;
      const char* source = static_cast<const char*>(from) + y * from_pitch;
      std::memmove(row, source, width);
      if (!observer || !to_device) continue;
      if (from_device)
        observer->copied(row, source, width);
      else
        observer->written(row, width);
    }
  });
  return cudaSuccess;
}

std::atomic<unsigned> launches{0};

}  // namespace

Allocation find_allocation(const void* address) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto p = reinterpret_cast<std::uintptr_t>(address);
  auto after = m.live.upper_bound(p);
  if (after == m.live.begin()) return {.device = -1};
  const Allocation& a = std::prev(after)->second;
  return p - a.begin < a.bytes ? a : Allocation{.device = -1};
}

std::vector<Allocation> live_allocations() {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  std::vector<Allocation> all;
  for (const auto& [begin, allocation] : m.live) all.push_back(allocation);
  for (const auto& [begin, block] : m.blocks) all.push_back(block);
  return all;
}

void block_given(void* p, std::size_t bytes) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto begin = reinterpret_cast<std::uintptr_t>(p);
  m.blocks[begin] = {begin, bytes, 0, m.next_id++};
  if (observer) observer->allocated(p, bytes);
}
void block_taken_back(void* p) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto found = m.blocks.find(reinterpret_cast<std::uintptr_t>(p));
  if (found == m.blocks.end()) return;
  if (observer) observer->freed(p, found->second.bytes);
  m.blocks.erase(found);
}

void written_by_host(const void* p, std::size_t bytes) {
  if (observer && bytes > 0) observer->written(p, bytes);
}

std::size_t device_memory(int device) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  return capacity(m, device);
}
std::size_t device_memory_used(int device) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  return m.used[device];
}
void set_device_memory(int device, std::size_t bytes) {
  Memory& m = memory();
  const std::lock_guard lock(m.mutex);
  m.capacity[device] = bytes;
}

void launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            std::function<void()> thread) {
  const auto refuse = [&](const std::string& why) {
    fail<DeviceError>("cuda: launch of {}<<<({}, {}, {}), ({}, {}, {}), {}>>>: {}", kernel_name(kernel), grid.x, grid.y,
                      grid.z, block.x, block.y, block.z, shared_bytes, why);
  };
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64)
    refuse(fmt::format("a block has 1 to 1024 threads, at most 64 deep, got {}", threads));
  if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) refuse("a grid is at most (2147483647, 65535, 65535)");
  if (shared_bytes > kSharedOptIn)
    refuse(fmt::format("a block has at most {} bytes of shared memory, got {}", kSharedOptIn, shared_bytes));
  submit(stream, [=, body = std::move(thread)] {
    run_grid({.kernel = kernel,
              .thread = body,
              .grid = grid,
              .block = block,
              .shared_bytes = shared_bytes,
              .serial = ++launches});
  });
}

}  // namespace gradus::simt

using namespace gradus::simt;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInitializationError: return "cudaErrorInitializationError";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidMemcpyDirection: return "cudaErrorInvalidMemcpyDirection";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorInvalidDeviceFunction: return "cudaErrorInvalidDeviceFunction";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorLaunchOutOfResources: return "cudaErrorLaunchOutOfResources";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnjoined: return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorUnknown: break;
  }
  return "cudaErrorUnknown";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    default: return cudaGetErrorName(error);
  }
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count();
  return *count > 0 ? cudaSuccess : note(cudaErrorNoDevice);
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= device_count()) return note(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= device_count()) return note(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "Gradus emulated GPU (sm_%d%d)", kMajor, kMinor);
  properties->totalGlobalMem = device_memory(device);
  properties->sharedMemPerBlock = 48 << 10;
  properties->sharedMemPerBlockOptin = kSharedOptIn;
  properties->sharedMemPerMultiprocessor = kSharedPerMultiprocessor;
  properties->regsPerBlock = 65536;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsDim[0] = properties->maxThreadsDim[1] = 1024, properties->maxThreadsDim[2] = 64;
  properties->maxGridSize[0] = 2147483647, properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->maxBlocksPerMultiProcessor = 32;
  properties->multiProcessorCount = kMultiprocessors;
  properties->major = kMajor, properties->minor = kMinor;
  properties->l2CacheSize = 50 << 20;
  properties->memoryBusWidth = 5120;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const cudaError_t error = cudaGetDeviceProperties(&p, device)) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(p.sharedMemPerBlock); break;
    case cudaDevAttrWarpSize: *value = p.warpSize; break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = p.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = static_cast<int>(p.sharedMemPerMultiprocessor); break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); break;
    default: return note(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return *least = 0, *greatest = -5, cudaSuccess;
}

cudaError_t cudaMalloc(void** p, std::size_t bytes) { return note(allocate(p, bytes, current_device)); }
cudaError_t cudaFree(void* p) { return note(release(p, false)); }
cudaError_t cudaMallocAsync(void** p, std::size_t bytes, cudaStream_t stream) {
  return stream_of(stream).recording() ? note(cudaErrorStreamCaptureUnsupported) : cudaMalloc(p, bytes);
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  return stream_of(stream).recording() ? note(cudaErrorStreamCaptureUnsupported) : cudaFree(p);
}
cudaError_t cudaMallocHost(void** p, std::size_t bytes, unsigned) { return note(allocate(p, bytes, -1)); }
cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned) { return note(allocate(p, bytes, -1)); }
cudaError_t cudaFreeHost(void* p) { return note(release(p, true)); }

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = device_memory(current_device);
  *free = *total - std::min(*total, device_memory_used(current_device));
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  const Allocation a = find_allocation(p);
  *attributes = {};
  attributes->type = a.bytes == 0   ? cudaMemoryTypeUnregistered
                     : a.device < 0 ? cudaMemoryTypeHost
                                    : cudaMemoryTypeDevice;
  attributes->device = std::max(a.device, 0);
  void* address = const_cast<void*>(p);
  if (a.bytes != 0) attributes->devicePointer = address;
  if (a.bytes == 0 || a.device < 0) attributes->hostPointer = address;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return copy_rows(to, bytes, from, bytes, bytes, 1, kind, nullptr);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_rows(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                         std::size_t height, cudaMemcpyKind kind) {
  return copy_rows(to, to_pitch, from, from_pitch, width, height, kind, nullptr);
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  return copy_rows(to, to_pitch, from, from_pitch, width, height, kind, stream);
}
cudaError_t cudaMemset(void* p, int value, std::size_t bytes) { return cudaMemsetAsync(p, value, bytes, nullptr); }
cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!within(p, bytes, find_allocation(p))) return note(cudaErrorInvalidValue);
  submit(stream, [=] {
    std::memset(p, value, bytes);
    if (observer) observer->written(p, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return *stream = new CUstream_st, cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) { return cudaStreamCreate(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!stream) return note(cudaErrorInvalidResourceHandle);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return stream_of(stream).recording() ? note(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) { return cudaStreamSynchronize(stream); }

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (!event) return note(cudaErrorInvalidResourceHandle);
  // What the event waits for has been done, or is recorded in the graph before what this stream will record.
  if (event->capture && event->capture->graph) stream_of(stream).capture = event->capture;
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* user) {
  submit(stream, [=] { function(user); });
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return *event = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (!event) return note(cudaErrorInvalidResourceHandle);
  event->capture = stream_of(stream).recording() ? stream_of(stream).capture : nullptr;
  if (!event->capture) event->when = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return event->capture && event->capture->graph ? note(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) { return cudaEventSynchronize(event); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  if (!begin->timed || !end->timed || begin->capture || end->capture) return note(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream || stream->recording()) return note(cudaErrorStreamCaptureUnsupported);
  stream->capture = std::make_shared<Capture>(Capture{new CUgraph_st});
  stream->origin = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream || !stream->recording() || !stream->origin) return note(cudaErrorStreamCaptureInvalidated);
  *graph = std::exchange(stream->capture->graph, nullptr);
  stream->origin = false;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = stream_of(stream).recording() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  static thread_local cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
  std::swap(*mode, current);
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  if (!graph || nodes) return note(cudaErrorNotSupported);
  *count = graph->work.size();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (!graph) return note(cudaErrorInvalidValue);
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t) {
  return exec ? cudaSuccess : note(cudaErrorInvalidValue);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (!exec) return note(cudaErrorInvalidValue);
  for (const Work& work : exec->work) submit(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const bool too_much =
      attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && (value < 0 || value > static_cast<int>(kSharedOptIn));
  return kernel && !too_much ? cudaSuccess : note(cudaErrorInvalidValue);
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  if (!kernel) return note(cudaErrorInvalidDeviceFunction);
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 0;  // only nvcc knows
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(kSharedOptIn);
  return cudaSuccess;
}
/// By threads and dynamic shared memory; registers are not known here.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int threads,
                                                          std::size_t shared_bytes) {
  if (!kernel || threads <= 0 || threads > 1024 || shared_bytes > kSharedOptIn) return note(cudaErrorInvalidValue);
  const int warps = (threads + 31) / 32;
  const int by_shared = static_cast<int>(kSharedPerMultiprocessor / (shared_bytes + 1024));  // 1 KiB for the system
  *blocks = std::min({32, 64 / warps, by_shared});
  return cudaSuccess;
}
