#include "tests/harness/fill.hpp"

#include <algorithm>
#include <cmath>

#include "core/parallel.hpp"

namespace gradus::test {
namespace {

constexpr std::int64_t kGrain = 1 << 16;

Tensor from_floats(const std::vector<float>& values, const Shape& shape, DType dtype) {
  const Tensor x = from_data(std::span<const float>(values), shape, {.dtype = dtype});
  return shape.size() == 4 ? x.clone(Format::channels_last) : x;
}

}  // namespace

std::uint64_t fnv1a(std::string_view name) {
  std::uint64_t h = 0xCBF29CE484222325;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return h;
}

std::uint64_t stream_word(std::uint64_t state, std::int64_t i) {
  std::uint64_t z = state + (static_cast<std::uint64_t>(i) + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

Tensor filled(const std::string& name, const Shape& shape, double gain2, DType dtype) {
  const std::int64_t n = numel(shape);
  double shift = 0, scale = 1;
  if (shape.size() >= 2) {
    scale = std::sqrt(3 * gain2 / static_cast<double>(n / shape[0]));
  } else if (name.ends_with("running_var")) {
    shift = 1;
    scale = 0.5;
  } else if (name.ends_with("running_mean") || name.ends_with(".bias")) {
    scale = 0.1;
  } else {
    shift = 1;
    scale = 0.25;
  }
  const std::uint64_t state = fnv1a(name);
  std::vector<float> values(n);
  parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) values[i] = static_cast<float>(shift + scale * stream_value(state, i));
  });
  return from_floats(values, shape, dtype);
}

Tensor filled_input(const Shape& shape, DType dtype) {
  const std::int64_t planes = shape[0] * shape[1], height = shape[2], width = shape[3];
  const std::int64_t cell = std::max<std::int64_t>(1, height / 8), coarse = (height + cell - 1) / cell;
  const std::uint64_t fine_state = fnv1a("input"), coarse_state = fnv1a("input.coarse");
  std::vector<float> values(planes * height * width);
  std::int64_t i = 0;
  for (std::int64_t plane = 0; plane < planes; ++plane)
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x, ++i)
        values[i] =
            static_cast<float>(stream_value(fine_state, i) +
                               1.5 * stream_value(coarse_state, (plane * coarse + y / cell) * coarse + x / cell));
  return from_floats(values, shape, dtype);
}

double probe(const std::vector<double>& g, const std::string& name) {
  const std::uint64_t state = fnv1a(name + "#probe");
  const auto n = static_cast<std::int64_t>(g.size());
  std::vector<double> parts((n + kGrain - 1) / kGrain);
  parallel_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += g[i] * stream_value(state, i);
    parts[begin / kGrain] = sum;
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

}  // namespace gradus::test
