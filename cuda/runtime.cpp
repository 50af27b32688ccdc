#include "cuda/runtime.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "core/device.hpp"
#include "cuda/allocator.hpp"
#include "cuda/backend.hpp"
#include "cuda/kernel_scope.hpp"
#if defined(GRADUS_HAS_NVTX)
#include <nvtx3/nvToolsExt.h>
#endif

namespace gradus::cuda {
namespace {

/// "conv2d.forward (layer1.0.conv1)"; the shapes of its operands follow.
std::string named(const std::string& kernel, const std::string& layer) {
  return layer.empty() ? kernel : fmt::format("{} ({})", kernel, layer);
}
void add_operand(std::string& text, bool first, DType dtype, const Shape& shape) {
  text += fmt::format("{}{} {}", first ? " " : ", ", dtype_name(dtype), to_string(shape));
}

/// A kernel that was queued. Its shapes become text only when they are asked for.
struct Call {
  static constexpr int kOperands = 8;
  std::string kernel, layer;
  std::array<std::pair<DType, Shape>, kOperands> operands;
  int count = 0;

  std::string text() const {
    std::string result = named(kernel, layer);
    for (int i = 0; i < count; ++i) {
      const auto& [dtype, shape] = operands[static_cast<std::size_t>(i)];
      add_operand(result, i == 0, dtype, shape);
    }
    return result;
  }
};

/// The kernels that were queued last, for the message of a fault.
struct Queued {
  static constexpr std::size_t kCount = 4;
  std::array<Call, kCount> last;
  std::size_t next = 0;
};
thread_local Queued queued;
thread_local KernelScope* innermost = nullptr;
thread_local int device = 0;
thread_local cudaStream_t redirected = nullptr;
std::atomic<bool> tf32{false};

bool wait_after_each_kernel() {
  static const bool wait = [] {
    const char* text = std::getenv("GRADUS_CUDA_SYNC");
    return text && *text && std::strcmp(text, "0") != 0;
  }();
  return wait;
}

[[maybe_unused]] std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// Why there are no devices at all; empty if there are.
std::string why_none() {
#if defined(GRADUS_SIMT)
  const char* wish = std::getenv("GRADUS_CUDA");
  if (wish && std::strcmp(wish, "emulate") == 0) return "";
  return "this build emulates CUDA on the CPU; GRADUS_CUDA=emulate in the environment switches that on";
#else
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess) return count > 0 ? "" : "this machine has no NVIDIA GPU (use --device cpu)";
  (void)cudaGetLastError();
  int driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return "no NVIDIA driver is installed (use --device cpu)";
  if (error == cudaErrorInsufficientDriver)
    return fmt::format(
        "the NVIDIA driver knows CUDA {}, this build needs {} (update the driver, or build with an older "
        "CUDA)",
        version_text(driver), version_text(runtime));
  if (error == cudaErrorNoDevice) return "this machine has no NVIDIA GPU (use --device cpu)";
  return cudaGetErrorString(error);
#endif
}

struct Devices {
  std::string none;  // why there are none
  std::vector<DeviceInfo> all;
  std::vector<cudaStream_t> streams;

  Devices() : none(why_none()) {
    if (!none.empty()) return;
    int count = 0;
    check_cuda(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
    for (int i = 0; i < count; ++i) {
      cudaDeviceProp p{};
      check_cuda(cudaGetDeviceProperties(&p, i), "cudaGetDeviceProperties");
      all.push_back({p.name, p.major, p.minor, p.multiProcessorCount, static_cast<std::int64_t>(p.totalGlobalMem),
                     static_cast<std::int64_t>(p.sharedMemPerBlockOptin), kEmulated});
    }
    streams.resize(all.size());
  }

#if defined(GRADUS_SIMT)
  static constexpr bool kEmulated = true;
#else
  static constexpr bool kEmulated = false;
#endif
};
Devices& devices() {
  static Devices* d = new Devices;  // never destroyed: tensors may outlive every static object
  return *d;
}

Backend* find_backend(int index) { return &backend_of(index); }

// This file holds KernelScope, which every operator uses: whoever links an operator also gets this registration.
const bool registered = [] {
  register_cuda_backend(find_backend);
  return true;
}();

}  // namespace

void check_cuda(cudaError_t error, const char* call) {
  if (error == cudaSuccess) [[likely]]
    return;
  (void)cudaGetLastError();
  const std::string last = running_kernels();
  fail<DeviceError>(
      "cuda: {}: {}{}{}{}", call, cudaGetErrorString(error), last.empty() ? "" : "\n  queued last:", last,
      last.empty() || wait_after_each_kernel() ? "" : "\n  GRADUS_CUDA_SYNC=1 tells which of them failed");
}

int device_count() {
  try {
    return static_cast<int>(devices().all.size());
  } catch (const Error&) {
    return 0;
  }
}

std::string why_unavailable(int index) {
  const Devices& d = devices();
  if (!d.none.empty()) return d.none;
  if (index >= 0 && index < static_cast<int>(d.all.size())) return "";
  return fmt::format("this machine has {} CUDA device{}", d.all.size(), d.all.size() == 1 ? "" : "s");
}

const DeviceInfo& device_info(int index) {
  const std::string why = why_unavailable(index);
  check<DeviceError>(why.empty(), "cuda:{}: {}", index, why);
  return devices().all[static_cast<std::size_t>(index)];
}

int current_device() { return device; }
void set_device(int index) {
  (void)device_info(index);
  // Also where it is this thread's device already: CUDA keeps a device per thread, and 0 is not always set yet.
  check_cuda(cudaSetDevice(index), "cudaSetDevice");
  device = index;
}

cudaStream_t stream() {
  if (redirected) return redirected;
  static std::mutex mutex;
  (void)device_info(device);
  const std::lock_guard lock(mutex);
  cudaStream_t& own = devices().streams[static_cast<std::size_t>(device)];
  if (own == nullptr) {
    check_cuda(cudaSetDevice(device), "cudaSetDevice");
    check_cuda(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  return own;
}

void synchronize() { check_cuda(cudaStreamSynchronize(stream()), "cudaStreamSynchronize"); }

StreamScope::StreamScope(cudaStream_t s) : before_(std::exchange(redirected, s)) {}
StreamScope::~StreamScope() { redirected = before_; }

Stream::Stream() { check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
Stream::~Stream() { (void)cudaStreamDestroy(stream_); }

Event::Event(bool timed) {
  check_cuda(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming), "cudaEventCreate");
}
Event::~Event() { (void)cudaEventDestroy(event_); }
void Event::record(cudaStream_t on) { check_cuda(cudaEventRecord(event_, on), "cudaEventRecord"); }
bool Event::happened() const {
  const cudaError_t state = cudaEventQuery(event_);
  if (state == cudaErrorNotReady) return false;
  check_cuda(state, "cudaEventQuery");
  return true;
}
void Event::wait() const { check_cuda(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
void Event::wait_on(cudaStream_t on) const { check_cuda(cudaStreamWaitEvent(on, event_, 0), "cudaStreamWaitEvent"); }
float Event::since(const Event& begin) const {
  float ms = 0;
  check_cuda(cudaEventElapsedTime(&ms, begin.event_, event_), "cudaEventElapsedTime");
  return ms;
}

bool tf32_allowed() { return tf32.load(std::memory_order_relaxed); }
void allow_tf32(bool allowed) { tf32.store(allowed, std::memory_order_relaxed); }

KernelScope::KernelScope(const char* kernel, const std::string& layer, int index, Operands operands)
    : kernel_(kernel), layer_(&layer), operands_(operands), outer_(innermost) {
  if (index != device || outer_ == nullptr) set_device(index);
#if defined(GRADUS_HAS_NVTX)
  nvtxRangePushA(layer.empty() ? kernel : (std::string(kernel) + " " + layer).c_str());
#endif
  innermost = this;
}

KernelScope::~KernelScope() {
  innermost = outer_;
#if defined(GRADUS_HAS_NVTX)
  nvtxRangePop();
#endif
  Call& slot = queued.last[queued.next++ % Queued::kCount];
  slot.kernel.assign(kernel_);
  slot.layer.assign(*layer_);
  slot.count = 0;
  for (const Tensor* x : operands_)
    if (x->defined() && slot.count < Call::kOperands)
      slot.operands[static_cast<std::size_t>(slot.count++)] = {x->dtype(), x->shape()};
}

std::string KernelScope::text() const {
  std::string result = named(kernel_, *layer_);
  bool first = true;
  for (const Tensor* x : operands_)
    if (x->defined()) add_operand(result, std::exchange(first, false), x->dtype(), x->shape());
  return result;
}

void KernelScope::finish() const {
  if (!wait_after_each_kernel()) return;
  cudaStreamCaptureStatus capturing{};  // then nothing runs, and waiting is not allowed
  check_cuda(cudaStreamIsCapturing(stream(), &capturing), "cudaStreamIsCapturing");
  if (capturing == cudaStreamCaptureStatusNone) synchronize();
}

void KernelScope::fault(const DeviceError& error) const { fail<DeviceError>("{}\n  in {}", error.what(), text()); }

std::string running_kernels() {
  std::string result;
  for (const KernelScope* s = innermost; s; s = s->outer_) result += "\n    " + s->text();
  for (std::size_t i = 0; i < Queued::kCount && i < queued.next; ++i)
    result += "\n    " + queued.last[(queued.next - 1 - i) % Queued::kCount].text();
  return result;
}

}  // namespace gradus::cuda
