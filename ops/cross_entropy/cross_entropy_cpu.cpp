// Cross-entropy on the CPU.
//   reference  row after row, any strides, in f64
//   rows       f32 rows of neighbouring logits: exponentials in vector registers; bound by arithmetic

#include <cmath>

#include "core/strided.hpp"
#include "ops/cross_entropy/cross_entropy_kernels.hpp"
#include "ops/softmax/softmax_kernels.hpp"

namespace gradus::cpu {
namespace {

std::int64_t grain(std::int64_t classes) {
  return std::max<std::int64_t>(1, kGrain / 4 / std::max<std::int64_t>(1, classes));
}

/// The weights q of one position's classes: q_c = every_c * w_c, and more at the label.
template <class T>
struct Row {
  const CrossEntropyTarget& t;
  std::int64_t label;  // -1: ignored; not used with probabilities
  const T* probabilities;

  Row(const CrossEntropyTarget& target, std::int64_t at) : t(target), label(-1), probabilities(nullptr) {
    if (t.labels) {
      if (t.labels[at] != t.ignore_index) label = t.labels[at];
    } else {
      probabilities = static_cast<const T*>(t.probabilities) + at;
    }
  }
  bool ignored() const { return t.labels && label < 0; }
  double weight(std::int64_t c) const { return t.weight ? static_cast<double>(static_cast<const T*>(t.weight)[c]) : 1; }
  double uniform() const { return t.smoothing / static_cast<double>(t.classes); }

  double q(std::int64_t c) const {
    if (ignored()) return 0;
    const double hard = t.labels ? (c == label ? 1.0 : 0.0) : static_cast<double>(probabilities[c * t.step]);
    return weight(c) * ((1 - t.smoothing) * hard + uniform());
  }
  double total() const {
    if (ignored()) return 0;
    if (t.labels && t.smoothing == 0) return weight(label);
    double sum = 0;
    for (std::int64_t c = 0; c < t.classes; ++c) sum += q(c);
    return sum;
  }
  /// -sum of q_c log softmax(x)_c, given x's largest element and log(sum of exp(x - largest)).
  double loss(const T* x, std::int64_t step, double largest, double log_sum) const {
    if (ignored()) return 0;
    const auto nll = [&](std::int64_t c) { return log_sum - (static_cast<double>(x[c * step]) - largest); };
    if (t.labels && t.smoothing == 0) return weight(label) * nll(label);
    double sum = 0;
    for (std::int64_t c = 0; c < t.classes; ++c)
      if (const double w = q(c); w != 0) sum += w * nll(c);  // 0 times an infinite log counts nothing
    return sum;
  }
};

/// fn(row of x, largest, log sum of exp(x - largest)) fills in loss and log_total.
template <class T, class Soft>
void forward(const CrossEntropyProblem& p, Soft soft) {
  const StridedLoop<3> loop(p.positions, {&p.dense, &p.x_strides, &p.target.strides});
  loop.run(grain(p.target.classes), [&](const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t y = at[0] + i * loop.inner_stride(0);
      const T* x = static_cast<const T*>(p.x) + at[1] + i * loop.inner_stride(1);
      const Row<T> row(p.target, at[2] + i * loop.inner_stride(2));
      const auto [largest, log_sum] = soft(x);
      static_cast<T*>(p.loss)[y] = static_cast<T>(row.loss(x, p.x_step, largest, log_sum));
      p.log_total[y] = largest + log_sum;
    }
  });
}

struct Soft {
  double largest, log_sum;
};

void reference(const CrossEntropyProblem& p) {
  dispatch_float("cross_entropy", p.dtype, [&]<class T>(T) {
    forward<T>(p, [&](const T* x) {
      double largest = static_cast<double>(x[0]), total = 0;
      for (std::int64_t c = 1; c < p.target.classes; ++c)
        largest = std::max(largest, static_cast<double>(x[c * p.x_step]));
      for (std::int64_t c = 0; c < p.target.classes; ++c)
        total += std::exp(static_cast<double>(x[c * p.x_step]) - largest);
      return Soft{largest, std::log(total)};
    });
  });
}

bool unit_rows(const CrossEntropyProblem& p) { return p.dtype == DType::f32 && p.x_step == 1; }

void rows_in_vectors(const CrossEntropyProblem& p) {
  const SoftmaxSimd& simd = softmax_simd();
  forward<float>(p, [&](const float* x) {
    const float largest = simd.largest(x, p.target.classes);
    return Soft{static_cast<double>(largest), std::log(simd.exp_shifted(x, largest, nullptr, p.target.classes))};
  });
}

template <class T, class Exp>
void backward(const CrossEntropyGradProblem& p, Exp exp_row) {
  const StridedLoop<5> loop(p.positions, {&p.gx_strides, &p.x_strides, &p.target.strides, &p.gy_strides, &p.dense});
  loop.run(grain(p.target.classes), [&](const auto& at, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      T* gx = static_cast<T*>(p.gx) + at[0] + i * loop.inner_stride(0);
      const T* x = static_cast<const T*>(p.x) + at[1] + i * loop.inner_stride(1);
      const Row<T> row(p.target, at[2] + i * loop.inner_stride(2));
      const double g = p.scale * static_cast<double>(static_cast<const T*>(p.gy)[at[3] + i * loop.inner_stride(3)]);
      if (row.ignored()) {
        for (std::int64_t c = 0; c < p.target.classes; ++c) gx[c * p.gx_step] = 0;
        continue;
      }
      exp_row(x, p.log_total[at[4] + i * loop.inner_stride(4)], gx);
      const T soft = static_cast<T>(g * row.total());
      if (p.target.labels && p.target.smoothing == 0) {
        for (std::int64_t c = 0; c < p.target.classes; ++c) gx[c * p.gx_step] *= soft;
        gx[row.label * p.gx_step] -= static_cast<T>(g * row.weight(row.label));
      } else {
        for (std::int64_t c = 0; c < p.target.classes; ++c)
          gx[c * p.gx_step] = gx[c * p.gx_step] * soft - static_cast<T>(g * row.q(c));
      }
    }
  });
}

void backward_reference(const CrossEntropyGradProblem& p) {
  dispatch_float("cross_entropy.backward", p.dtype, [&]<class T>(T) {
    backward<T>(p, [&](const T* x, double log_total, T* gx) {
      for (std::int64_t c = 0; c < p.target.classes; ++c)
        gx[c * p.gx_step] = static_cast<T>(std::exp(static_cast<double>(x[c * p.x_step]) - log_total));
    });
  });
}

bool backward_unit_rows(const CrossEntropyGradProblem& p) {
  return p.dtype == DType::f32 && p.x_step == 1 && p.gx_step == 1;
}

void backward_rows(const CrossEntropyGradProblem& p) {
  const SoftmaxSimd& simd = softmax_simd();
  backward<float>(p, [&](const float* x, double log_total, float* gx) {
    // Shifted by the f32 next to log_total; the rest, a factor close to 1, comes from the sum itself.
    const double total = simd.exp_shifted(x, static_cast<float>(log_total), gx, p.target.classes);
    const auto scale = static_cast<float>(1 / total);
    for (std::int64_t c = 0; c < p.target.classes; ++c) gx[c] *= scale;
  });
}

}  // namespace

const Candidates<CrossEntropyProblem>& cross_entropy() {
  static const Candidates<CrossEntropyProblem> candidates(
      "cross_entropy", {{"rows", "f32 rows in vector registers; bound by arithmetic", unit_rows, rows_in_vectors},
                        {"reference", "row after row, in f64", always<CrossEntropyProblem>, reference}});
  return candidates;
}

const Candidates<CrossEntropyGradProblem>& cross_entropy_backward() {
  static const Candidates<CrossEntropyGradProblem> candidates(
      "cross_entropy.backward",
      {{"rows", "f32 rows in vector registers; bound by arithmetic", backward_unit_rows, backward_rows},
       {"reference", "row after row, in f64", always<CrossEntropyGradProblem>, backward_reference}});
  return candidates;
}

void cross_entropy_weights(const CrossEntropyWeightsProblem& p) {
  const StridedLoop<2> loop(p.positions, {&p.q_strides, &p.target.strides});
  dispatch_float("cross_entropy.weights", p.dtype, [&]<class T>(T) {
    loop.run(grain(p.target.classes), [&](const auto& at, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        T* q = static_cast<T*>(p.q) + at[0] + i * loop.inner_stride(0);
        const Row<T> row(p.target, at[1] + i * loop.inner_stride(1));
        for (std::int64_t c = 0; c < p.target.classes; ++c) q[c * p.q_step] = static_cast<T>(row.q(c));
      }
    });
  });
}

}  // namespace gradus::cpu
