#pragma once
// Types that are computed with where they are not what memory holds: bf16 is stored, f32 computes.

#include <type_traits>
#include <utility>

#include "core/dtype.hpp"

namespace gradus {

/// What a kernel computes, sums and keeps statistics in where memory holds T: f32 for bf16, else T itself.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
constexpr DType compute_dtype(DType d) { return d == DType::bf16 ? DType::f32 : d; }

/// Calls fn(float{}), fn(double{}) or fn(bf16{}): for kernels that store bf16 and compute in f32.
template <class Fn>
decltype(auto) dispatch_number(const char* op, DType dtype, Fn&& fn) {
  if (dtype == DType::bf16) return fn(bf16{});
  return dispatch_float(op, dtype, std::forward<Fn>(fn));
}

}  // namespace gradus
