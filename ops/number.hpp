#pragma once
// Which devices compute in bf16: CUDA, storing it and computing in f32. The CPU takes f32 and f64.

#include <type_traits>

#include "core/number.hpp"
#include "core/tensor.hpp"

namespace gradus {

/// Whether the CPU has kernels for T.
template <class T>
inline constexpr bool kOnCpu = !std::is_same_v<T, bf16>;

/// DTypeError unless x is f32 or f64, or bf16 elsewhere than on the CPU.
inline void check_number(const char* op, const Tensor& x) {
  check<DTypeError>(x.dtype() != DType::bf16 || x.device().type != DeviceType::cpu,
                    "{}: on the CPU takes f32 or f64, got bf16, which CUDA devices compute in (convert with to())", op);
  dispatch_number(op, x.dtype(), [](auto) {});
}

}  // namespace gradus
