#include "cuda/prefetch.hpp"

#include <cstring>

namespace gradus::cuda {

struct Prefetcher::Buffer {
  void* data = nullptr;
  std::int64_t bytes = 0;
  Event arrived;  // the copy out of it has been made
  bool used = false;

  explicit Buffer(std::int64_t size) : bytes(size) {
    check_cuda(cudaMallocHost(&data, static_cast<std::size_t>(size)), "cudaMallocHost");
  }
  ~Buffer() { (void)cudaFreeHost(data); }
};

Prefetcher::Prefetcher(Device device) : device_(device) {
  check<DeviceError>(device.type == DeviceType::cuda, "Prefetcher: sends to CUDA devices, not to {}",
                     to_string(device));
  set_device(device.index);
  copies_ = std::make_unique<Stream>();
}

Prefetcher::~Prefetcher() {
  for (const auto& buffer : buffers_)
    if (buffer->used) {
      try {
        buffer->arrived.wait();
      } catch (const Error&) {  // a device that has failed: nothing is under way any more
      }
    }
}

Prefetcher::Buffer& Prefetcher::free_buffer(std::int64_t bytes) {
  for (const auto& buffer : buffers_)
    if (buffer->bytes >= bytes && (!buffer->used || buffer->arrived.happened())) return *buffer;
  buffers_.push_back(std::make_unique<Buffer>(bytes));
  return *buffers_.back();
}

Tensor Prefetcher::send(const Tensor& x) {
  check<DeviceError>(x.device() == kCpu, "Prefetcher: sends from the cpu\n  x  {}", describe(x));
  const Tensor packed = x.is_dense() ? x.detach() : x.clone();
  set_device(device_.index);
  Tensor y = empty(packed.shape(), {.dtype = packed.dtype(), .device = device_, .format = packed.format()});
  if (packed.numel() == 0) return y;
  const Tensor ordered = packed.strides() == y.strides() ? packed : packed.clone(y.format());
  Buffer& buffer = free_buffer(ordered.bytes());
  std::memcpy(buffer.data, ordered.data_ptr(), static_cast<std::size_t>(ordered.bytes()));
  // y's memory may have been another tensor's a moment ago: the copy waits for what is queued so far.
  Event before;
  before.record(stream());
  before.wait_on(copies_->get());
  check_cuda(cudaMemcpyAsync(y.data_ptr(), buffer.data, static_cast<std::size_t>(ordered.bytes()),
                             cudaMemcpyHostToDevice, copies_->get()),
             "cudaMemcpyAsync");
  buffer.arrived.record(copies_->get());
  buffer.used = true;
  buffer.arrived.wait_on(stream());
  return y;
}

}  // namespace gradus::cuda
