// Interpolation on the CPU.
//   reference  every element by itself, in f64
//   channels   both sides channels-last: whole pixels at a time, output rows (backward: blocks of channels of an image)
//              in parallel; bound by memory

#include "core/strided.hpp"
#include "ops/upsample/upsample_kernels.hpp"

namespace gradus::cpu {
namespace {

/// fn(out element, the four in elements, their weights) for every element of out.
template <class T, class Fn>
void each(const InterpolateProblem& p, Fn fn) {
  T* in = static_cast<T*>(p.in);
  T* out = static_cast<T*>(p.out);
  for (std::int64_t n = 0; n < p.n; ++n)
    for (std::int64_t c = 0; c < p.c; ++c)
      for (std::size_t i = 0; i < p.rows.size(); ++i)
        for (std::size_t j = 0; j < p.columns.size(); ++j) {
          const Tap &r = p.rows[i], &s = p.columns[j];
          T* plane = in + n * p.in_strides[0] + c * p.in_strides[1];
          T* low = plane + r.low * p.in_strides[2];
          T* high = plane + r.high * p.in_strides[2];
          fn(out[n * p.out_strides[0] + c * p.out_strides[1] + static_cast<std::int64_t>(i) * p.out_strides[2] +
                 static_cast<std::int64_t>(j) * p.out_strides[3]],
             low[s.low * p.in_strides[3]], low[s.high * p.in_strides[3]], high[s.low * p.in_strides[3]],
             high[s.high * p.in_strides[3]], r.t, s.t);
        }
}

void reference(const InterpolateProblem& p) {
  dispatch_float("interpolate", p.dtype, [&]<class T>(T) {
    each<T>(p, [](T& out, T a, T b, T c, T d, double r, double s) {
      out = static_cast<T>((1 - r) * ((1 - s) * static_cast<double>(a) + s * static_cast<double>(b)) +
                           r * ((1 - s) * static_cast<double>(c) + s * static_cast<double>(d)));
    });
  });
}

void reference_backward(const InterpolateProblem& p) {
  dispatch_float("interpolate", p.dtype, [&]<class T>(T) {
    each<T>(p, [](T out, T& a, T& b, T& c, T& d, double r, double s) {
      a += static_cast<T>((1 - r) * (1 - s)) * out;
      b += static_cast<T>((1 - r) * s) * out;
      c += static_cast<T>(r * (1 - s)) * out;
      d += static_cast<T>(r * s) * out;
    });
  });
}

bool channels_adjoin(const InterpolateProblem& p) { return p.in_strides[1] == 1 && p.out_strides[1] == 1; }

/// fn(pixel of out, the four pixels of in, their weights) along row i of image n.
template <class T, class Fn>
void each_pixel(const InterpolateProblem& p, std::int64_t n, std::size_t i, Fn fn) {
  T* in = static_cast<T*>(p.in) + n * p.in_strides[0];
  T* out = static_cast<T*>(p.out) + n * p.out_strides[0] + static_cast<std::int64_t>(i) * p.out_strides[2];
  const Tap& r = p.rows[i];
  T* low = in + r.low * p.in_strides[2];
  T* high = in + r.high * p.in_strides[2];
  for (std::size_t j = 0; j < p.columns.size(); ++j) {
    const Tap& s = p.columns[j];
    const std::int64_t left = s.low * p.in_strides[3], right = s.high * p.in_strides[3];
    fn(out + static_cast<std::int64_t>(j) * p.out_strides[3], low + left, low + right, high + left, high + right,
       static_cast<T>((1 - r.t) * (1 - s.t)), static_cast<T>((1 - r.t) * s.t), static_cast<T>(r.t * (1 - s.t)),
       static_cast<T>(r.t * s.t));
  }
}

void channels(const InterpolateProblem& p) {
  const auto rows = static_cast<std::int64_t>(p.rows.size());
  const std::int64_t row = std::max<std::int64_t>(1, static_cast<std::int64_t>(p.columns.size()) * p.c);
  dispatch_float("interpolate", p.dtype, [&]<class T>(T) {
    parallel_ranges(p.n * rows, std::max<std::int64_t>(1, kGrain / row), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k)
        each_pixel<T>(p, k / rows, static_cast<std::size_t>(k % rows),
                      [&](T* y, const T* a, const T* b, const T* c, const T* d, T wa, T wb, T wc, T wd) {
                        if (wa == T(1))  // nearest, or exactly on a pixel
                          std::copy(a, a + p.c, y);
                        else
                          for (std::int64_t i = 0; i < p.c; ++i) y[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
                      });
    });
  });
}

void channels_backward(const InterpolateProblem& p) {
  constexpr std::int64_t kBlock = 32;  // channels: two cache lines of f32
  const std::int64_t blocks = (p.c + kBlock - 1) / kBlock;
  dispatch_float("interpolate", p.dtype, [&]<class T>(T) {
    parallel_for(p.n * blocks, [&](std::int64_t task) {
      const std::int64_t begin = task % blocks * kBlock, end = std::min(p.c, begin + kBlock);
      for (std::size_t i = 0; i < p.rows.size(); ++i)
        each_pixel<T>(p, task / blocks, i, [&](const T* y, T* a, T* b, T* c, T* d, T wa, T wb, T wc, T wd) {
          if (wa == T(1)) {
            for (std::int64_t j = begin; j < end; ++j) a[j] += y[j];
            return;
          }
          // One place after the other: at an edge they may be the same.
          for (std::int64_t j = begin; j < end; ++j) a[j] += wa * y[j];
          for (std::int64_t j = begin; j < end; ++j) b[j] += wb * y[j];
          for (std::int64_t j = begin; j < end; ++j) c[j] += wc * y[j];
          for (std::int64_t j = begin; j < end; ++j) d[j] += wd * y[j];
        });
    });
  });
}

}  // namespace

const Candidates<InterpolateProblem>& interpolate() {
  static const Candidates<InterpolateProblem> candidates(
      "interpolate", {{"channels", "whole pixels, rows in parallel; bound by memory", channels_adjoin, channels},
                      {"reference", "every element by itself", always<InterpolateProblem>, reference}});
  return candidates;
}

const Candidates<InterpolateProblem>& interpolate_backward() {
  static const Candidates<InterpolateProblem> candidates(
      "interpolate.backward",
      {{"channels", "whole pixels, blocks of channels in parallel; bound by memory", channels_adjoin,
        channels_backward},
       {"reference", "every element by itself", always<InterpolateProblem>, reference_backward}});
  return candidates;
}

}  // namespace gradus::cpu
