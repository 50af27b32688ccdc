#include "core/device.hpp"

#include <atomic>
#include <charconv>

namespace gradus {

// core/cpu_backend.cpp
Backend& cpu_backend();
std::int64_t cpu_block_bytes(std::int64_t bytes);

namespace {

/// Counts what tensors would hold on the CPU, rounding included, and holds nothing.
class MetaBackend final : public Backend {
 public:
  void* allocate(std::int64_t bytes) override {
    const std::int64_t block = cpu_block_bytes(bytes);
    const std::int64_t now = current_.fetch_add(block) + block;
    std::int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
    ++allocations_;
    return nullptr;
  }
  void release(void*, std::int64_t bytes) noexcept override { current_ -= cpu_block_bytes(bytes); }
  MemoryStats memory_stats() const override {
    return {.current = current_, .peak = peak_, .reserved = 0, .allocations = allocations_};
  }
  void reset_peak() override { peak_ = current_.load(); }
  void fill(const MemoryView&, double) override {}
  void copy(const MemoryView&, const MemoryView&) override { fail<DeviceError>("copy: a meta tensor has no values"); }
  void accumulate(const MemoryView&, const MemoryView&) override {}

 private:
  std::atomic<std::int64_t> current_{0}, peak_{0}, allocations_{0};
};

Backend* (*find_cuda)(int index) = nullptr;

}  // namespace

std::string to_string(Device device) {
  if (device.type == DeviceType::cuda) return fmt::format("cuda:{}", device.index);
  return device.type == DeviceType::cpu ? "cpu" : "meta";
}

Device device_from_name(const std::string& name) {
  if (name == "cpu") return kCpu;
  if (name == "meta") return kMeta;
  if (name == "cuda") return {DeviceType::cuda, 0};
  if (name.starts_with("cuda:")) {
    int index = -1;
    const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), index);
    if (error == std::errc() && end == name.data() + name.size() && index >= 0) return {DeviceType::cuda, index};
  }
  fail("device: unknown name \"{}\", expected cpu, cuda or cuda:INDEX", name);
}

void register_cuda_backend(Backend* (*find)(int index)) { find_cuda = find; }

Backend& backend(Device device) {
  static MetaBackend meta;
  switch (device.type) {
    case DeviceType::cpu: return cpu_backend();
    case DeviceType::meta: return meta;
    case DeviceType::cuda: break;
  }
  Backend* cuda = find_cuda ? find_cuda(device.index) : nullptr;
  check<DeviceError>(cuda != nullptr, "{}: this build has no CUDA (use --device cpu)", to_string(device));
  return *cuda;
}

MemoryStats memory_stats(Device device) { return backend(device).memory_stats(); }
void reset_peak_memory(Device device) { backend(device).reset_peak(); }

}  // namespace gradus
