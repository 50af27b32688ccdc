// Fill, copy and accumulate on the device, and copies between the device and the host.

#include "cuda/backend.hpp"

#include <map>
#include <memory>
#include <vector>

#include "cuda/allocator.hpp"
#include "cuda/convert.cuh"
#include "cuda/each.cuh"
#include "cuda/runtime.hpp"
#include "cuda/strided.cuh"

namespace gradus::cuda {
namespace {

/// A dense copy's geometry: v's dims in the order they have in memory, without gaps.
Strides packed_strides(const MemoryView& v) {
  Dims order;
  for (int d = 0; d < v.shape.size(); ++d) {
    int at = order.size();
    while (at > 0 && v.strides[static_cast<int>(order[at - 1])] < v.strides[d]) --at;
    order.insert(at, d);
  }
  Strides strides = Strides::filled(v.shape.size(), 1);
  std::int64_t step = 1;
  for (int i = order.size() - 1; i >= 0; --i) {
    const int d = static_cast<int>(order[i]);
    strides[d] = step;
    step *= v.shape[d];
  }
  return strides;
}

bool is_dense(const MemoryView& v) {
  const StridedLoop<1> loop(v.shape, {&v.strides});
  return loop.rank == 1 && (loop.inner() == 1 || loop.inner_stride(0) == 1);
}
std::size_t byte_size(const MemoryView& v) { return static_cast<std::size_t>(numel(v.shape) * dtype_size(v.dtype)); }

template <class T>
void fill_elements(const MemoryView& y, T value) {
  const StridedIndex<1> index(StridedLoop<1>(y.shape, {&y.strides}));
  T* p = static_cast<T*>(y.data);
  each(index.total, [=] __device__(std::int64_t i) { p[index(i).at[0]] = value; });
}

template <class From, class To>
void copy_elements(const MemoryView& x, const MemoryView& y) {
  const StridedIndex<2> index(StridedLoop<2>(y.shape, {&y.strides, &x.strides}));
  const From* from = static_cast<const From*>(x.data);
  To* to = static_cast<To*>(y.data);
  each(index.total, [=] __device__(std::int64_t i) {
    const Offsets<2> o = index(i);
    to[o.at[0]] = device_convert<To>(from[o.at[1]]);
  });
}

template <class T>
__device__ T added(T a, T b) {
  if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, f16>)
    return device_convert<T>(widen(a) + widen(b));
  else
    return static_cast<T>(a + b);
}

template <class T>
void accumulate_elements(const MemoryView& x, const MemoryView& y) {
  const StridedIndex<2> index(StridedLoop<2>(y.shape, {&y.strides, &x.strides}));
  const T* from = static_cast<const T*>(x.data);
  T* to = static_cast<T*>(y.data);
  each(index.total, [=] __device__(std::int64_t i) {
    const Offsets<2> o = index(i);
    to[o.at[0]] = added(to[o.at[0]], from[o.at[1]]);
  });
}

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int index) : index_(index) {}

  void* allocate(std::int64_t bytes) override { return cuda::allocate(index_, bytes); }
  void release(void* data, std::int64_t bytes) noexcept override { cuda::release(index_, data, bytes); }
  MemoryStats memory_stats() const override { return allocator_stats(index_); }
  void reset_peak() override { reset_allocator_peak(index_); }

  void fill(const MemoryView& y, double value) override {
    use();
    dispatch_all(y.dtype, [&]<class T>(T) { fill_elements<T>(y, convert<T>(value)); });
  }

  void accumulate(const MemoryView& x, const MemoryView& y) override {
    use();
    dispatch_all(x.dtype, [&]<class T>(T) { accumulate_elements<T>(x, y); });
  }

  void copy(const MemoryView& x, const MemoryView& y) override {
    if (numel(y.shape) == 0) return;
    use();
    const int from = device_of(x.data), to = device_of(y.data);
    check<DeviceError>(from < 0 || to < 0 || from == to, "copy: from cuda:{} to cuda:{} goes by way of the cpu", from,
                       to);
    if (from >= 0 && to >= 0)
      on_device(x, y);
    else if (to >= 0)
      upload(x, y);
    else
      download(x, y);
  }

 private:
  void use() const {
    if (current_device() != index_) set_device(index_);
  }

  void on_device(const MemoryView& x, const MemoryView& y) const {
    const StridedLoop<2> loop(y.shape, {&y.strides, &x.strides});
    if (x.dtype == y.dtype && loop.rank == 1 &&
        (loop.inner() == 1 || (loop.inner_stride(0) == 1 && loop.inner_stride(1) == 1))) {
      check_cuda(cudaMemcpyAsync(y.data, x.data, byte_size(y), cudaMemcpyDeviceToDevice, stream()), "cudaMemcpyAsync");
      return;
    }
    dispatch_all(x.dtype, [&]<class From>(From) {
      dispatch_all(y.dtype, [&]<class To>(To) { copy_elements<From, To>(x, y); });
    });
  }

  /// Bytes cross as they are: dtype and memory order are changed on the host before they leave it.
  void upload(const MemoryView& x, const MemoryView& y) const {
    const Strides packed = packed_strides(y);
    const StridedLoop<2> same(y.shape, {&packed, &x.strides});
    const bool ready = x.dtype == y.dtype && same.rank == 1 && (same.inner() == 1 || same.inner_stride(1) == 1);
    std::vector<char> staged(ready ? 0 : byte_size(y));
    if (!ready) backend(kCpu).copy(x, {staged.data(), y.dtype, y.shape, packed});
    const void* source = ready ? x.data : staged.data();
    if (is_dense(y)) {
      transfer(y.data, source, byte_size(y), cudaMemcpyHostToDevice);
    } else {
      const DeviceWorkspace<char> arrived(static_cast<std::int64_t>(byte_size(y)));
      transfer(arrived.data(), source, byte_size(y), cudaMemcpyHostToDevice);
      on_device({arrived.data(), y.dtype, y.shape, packed}, y);
    }
    synchronize();  // the host's memory may go once this returns
  }

  void download(const MemoryView& x, const MemoryView& y) const {
    const Strides packed = packed_strides(x);
    const MemoryView source{x.data, x.dtype, x.shape, packed};
    if (!is_dense(x)) {
      const DeviceWorkspace<char> gathered(static_cast<std::int64_t>(byte_size(x)));
      on_device(x, {gathered.data(), x.dtype, x.shape, packed});
      arrive({gathered.data(), x.dtype, x.shape, packed}, y);
    } else {
      arrive(source, y);
    }
  }
  /// x is dense on the device.
  void arrive(const MemoryView& x, const MemoryView& y) const {
    const StridedLoop<2> same(x.shape, {&x.strides, &y.strides});
    if (x.dtype == y.dtype && same.rank == 1 && (same.inner() == 1 || same.inner_stride(1) == 1)) {
      transfer(y.data, x.data, byte_size(x), cudaMemcpyDeviceToHost);
      synchronize();
      return;
    }
    std::vector<char> landed(byte_size(x));
    transfer(landed.data(), x.data, byte_size(x), cudaMemcpyDeviceToHost);
    synchronize();
    backend(kCpu).copy({landed.data(), x.dtype, x.shape, x.strides}, y);
  }

  static void transfer(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, kind, stream()), "cudaMemcpyAsync");
  }

  const int index_;
};

}  // namespace

Backend& backend_of(int index) {
  (void)device_info(index);
  static auto* all = [] {
    auto* list = new std::vector<CudaBackend*>;
    for (int i = 0; i < device_count(); ++i) list->push_back(new CudaBackend(i));
    return list;
  }();
  return *(*all)[static_cast<std::size_t>(index)];
}

}  // namespace gradus::cuda
