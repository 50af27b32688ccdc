// Rows of exponentials in vector registers.

#include "core/simd.hpp"
#include "ops/softmax/softmax_kernels.hpp"

namespace gradus::GRADUS_ISA {
namespace {

/// exp(x) to 2 units in the last place: x = k log 2 + r with |r| <= log(2)/2, a polynomial of degree 6 in r (Cephes
/// expf), times 2^k. Below -87.3, where f32 would be denormal, 0; above 88.7 infinity; NaN stays NaN.
inline VecN exp(VecN x) {
  const VecN low = broadcast(-87.33654f), high = broadcast(88.72283f);
  const VecN bounded = max(min(x, high), low);
  const VecN round = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const VecN shifted = bounded * broadcast(1.44269504f) + round;
  const VecN k = shifted - round;
  const VecN r = (bounded - k * broadcast(0.693359375f)) - k * broadcast(-2.12194440e-4f);
  VecN p = broadcast(1.9875691500e-4f);
  p = p * r + broadcast(1.3981999507e-3f);
  p = p * r + broadcast(8.3334519073e-3f);
  p = p * r + broadcast(4.1665795894e-2f);
  p = p * r + broadcast(1.6666665459e-1f);
  p = p * r + broadcast(5.0000001201e-1f);
  p = p * (r * r) + r + broadcast(1.0f);
  // 2^k in two factors, so that k = 128 (x just below 88.7) does not overflow on the way.
  const MaskN whole = __builtin_convertvector(k, MaskN), half = whole >> 1;
  const VecN y = p * reinterpret_cast<VecN>((half + 127) << 23) * reinterpret_cast<VecN>((whole - half + 127) << 23);
  const VecN infinite = broadcast(__builtin_inff());
  return x != x ? x : x < low ? VecN{} : x > high ? infinite : y;
}

float largest(const float* x, std::int64_t n) {
  if (n < kLanes) {
    float best = x[0];
    for (std::int64_t i = 1; i < n; ++i) best = x[i] > best || x[i] != x[i] ? x[i] : best;
    return best;
  }
  VecN best = load(x);
  const auto take = [&](VecN v) { best = best != best ? best : v > best ? v : v != v ? v : best; };
  for (std::int64_t i = kLanes; i + kLanes <= n; i += kLanes) take(load(x + i));
  take(load(x + n - kLanes));
  float lane[kLanes];
  store(lane, best);
  float result = lane[0];
  for (int i = 1; i < kLanes; ++i)
    result = result != result ? result : lane[i] > result || lane[i] != lane[i] ? lane[i] : result;
  return result;
}

double exp_shifted(const float* x, float shift, float* y, std::int64_t n) {
  const VecN s = broadcast(shift);
  double total = 0;
  for (std::int64_t i = 0; i < n; i += kLanes) {
    const std::int64_t count = n - i < kLanes ? n - i : kLanes;
    const VecN e = exp((count == kLanes ? load(x + i) : load_first(x + i, count)) - s);
    if (y) {
      if (count == kLanes)
        store(y + i, e);
      else
        store_first(y + i, e, count);
    }
    float lane[kLanes];
    store(lane, e);
    for (std::int64_t j = 0; j < count; ++j) total += static_cast<double>(lane[j]);
  }
  return total;
}

}  // namespace
}  // namespace gradus::GRADUS_ISA

GRADUS_ISA_DEFINE(SoftmaxSimd, softmax_simd, {.largest = largest, .exp_shifted = exp_shifted})
