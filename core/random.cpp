#include "core/random.hpp"

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "core/parallel.hpp"
#include "core/strided.hpp"

namespace gradus {
namespace {

/// Uniform in (0, 1]: never zero, so that its logarithm exists.
double open_uniform(std::uint32_t word) { return (static_cast<double>(word) + 1.0) * 0x1p-32; }

/// Two normals from two words (Box and Muller 1958).
std::pair<double, double> normal_pair(std::uint32_t a, std::uint32_t b) {
  const double radius = std::sqrt(-2 * std::log(open_uniform(a)));
  const double angle = 2 * std::numbers::pi * open_uniform(b);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

/// x's elements in logical order become value(i); written through a contiguous buffer.
template <class Value>
void generate(const char* op, const Tensor& x, Value value) {
  dispatch_float(op, x.dtype(), [&]<class T>(T) {
    if (x.is_meta()) return;
    Tensor host = empty(x.shape(), {.dtype = x.dtype()});
    T* p = host.data<T>();
    parallel_ranges(x.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) p[i] = static_cast<T>(value(static_cast<std::uint64_t>(i)));
    });
    Tensor(x.detach()).copy_(host);
  });
  x.written(op);
}

}  // namespace

Generator& default_generator() {
  thread_local Generator generator;
  return generator;
}

void manual_seed(std::uint64_t seed) { default_generator() = {seed, 0}; }

void uniform_(const Tensor& x, double low, double high, Generator& generator) {
  check(low <= high, "uniform_: low {} is above high {}", low, high);
  const Philox philox = generator.stream();
  // Rounding may reach `high`, in double and again in x's dtype; the interval is open there.
  const double last = x.dtype() == DType::f32 ? std::nextafter(static_cast<float>(high), static_cast<float>(low))
                                              : std::nextafter(high, low);
  generate("uniform_", x, [=](std::uint64_t i) { return std::min(low + (high - low) * philox.uniform(i), last); });
}

void normal_(const Tensor& x, double mean, double std, Generator& generator) {
  const Philox philox = generator.stream();
  generate("normal_", x, [=](std::uint64_t i) {
    const Philox::Block block = philox.block(i / 2);
    const auto [a, b] = normal_pair(block.word[0], block.word[1]);
    return mean + std * (i % 2 == 0 ? a : b);
  });
}

void truncated_normal_(const Tensor& x, double mean, double std, double low, double high, Generator& generator) {
  // The share of a normal's values that lie inside; drawing again is the right method only where it is not tiny.
  const auto below = [&](double v) { return 0.5 * std::erfc((mean - v) / (std * std::numbers::sqrt2)); };
  check(low < high && std > 0 && below(high) - below(low) > 1e-4,
        "truncated_normal_: hardly any values of mean {}, deviation {} are between {} and {}", mean, std, low, high);
  const Philox philox = generator.stream();
  generate("truncated_normal_", x, [=](std::uint64_t i) {
    // Element i has the blocks i, i + 2^40, i + 2 * 2^40, … to itself; each gives four chances.
    for (std::uint64_t attempt = 0;; ++attempt) {
      const Philox::Block block = philox.block(i + (attempt << 40));
      const auto [a, b] = normal_pair(block.word[0], block.word[1]);
      const auto [c, d] = normal_pair(block.word[2], block.word[3]);
      for (const double z : {a, b, c, d})
        if (const double value = mean + std * z; value >= low && value <= high) return value;
    }
  });
}

Tensor rand(const Shape& shape, const TensorOptions& options, Generator& generator) {
  Tensor x = empty(shape, options);
  uniform_(x, 0, 1, generator);
  return x;
}

Tensor randn(const Shape& shape, const TensorOptions& options, Generator& generator) {
  Tensor x = empty(shape, options);
  normal_(x, 0, 1, generator);
  return x;
}

Tensor randperm(std::int64_t n, Generator& generator) {
  check(n >= 0, "randperm: negative length {}", n);
  const Philox philox = generator.stream();
  Tensor order = arange(0, static_cast<double>(n));
  auto* p = order.data<std::int64_t>();
  // Fisher and Yates; 64 random bits per swap make the bias of the remainder negligible.
  for (std::int64_t i = n - 1; i > 0; --i) {
    const Philox::Block block = philox.block(static_cast<std::uint64_t>(i));
    const std::uint64_t bits = (static_cast<std::uint64_t>(block.word[0]) << 32) | block.word[1];
    std::swap(p[i], p[bits % static_cast<std::uint64_t>(i + 1)]);
  }
  return order;
}

}  // namespace gradus
