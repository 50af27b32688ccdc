#include "autograd/finite.hpp"

#include <atomic>
#include <cmath>

#include "core/strided.hpp"

namespace gradus {

bool all_finite(const Tensor& x) {
  if (!x.defined() || !is_floating(x.dtype()) || x.is_meta()) return true;
  const Tensor host = x.device().type == DeviceType::cpu ? x : empty(x.shape(), {.dtype = x.dtype()}).copy_(x);
  std::atomic<bool> finite{true};
  dispatch_all(host.dtype(), [&]<class T>(T) {
    const T* p = host.data<T>();
    const StridedLoop<1> loop(host.shape(), {&host.strides()});
    const std::int64_t step = loop.inner_stride(0);
    loop.run(kGrain, [&](const auto& at, std::int64_t n) {
      bool ok = true;
      for (std::int64_t i = 0; i < n; ++i) ok &= std::isfinite(convert<double>(p[at[0] + i * step]));
      if (!ok) finite.store(false, std::memory_order_relaxed);
    });
  });
  return finite.load();
}

}  // namespace gradus
