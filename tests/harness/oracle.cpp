#include "tests/harness/oracle.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "tests/harness/paths.hpp"

namespace gradus::oracle {
namespace {

/// `values` in logical order into x, whatever its dtype and memory order.
void assign(const Tensor& x, const std::vector<double>& values) {
  Tensor target = x.detach();
  target.copy_(from_data(std::span<const double>(values), x.shape(), {.dtype = DType::f64}));
}

double rounded(double value) { return static_cast<double>(static_cast<float>(value)); }

}  // namespace

std::filesystem::path folder() {
  if (const char* given = std::getenv("GRADUS_ORACLE_DIR")) return given;
  return std::filesystem::path(test::source_dir()) / "tests" / "oracle";
}

std::vector<std::filesystem::path> json_files(const std::filesystem::path& in) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(in))
    for (const auto& entry : std::filesystem::directory_iterator(in))
      if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

Json load(const std::filesystem::path& file) {
  std::ifstream stream(file);
  check<FileError>(stream.good(), "oracle: cannot read {}", file.string());
  Json json = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  check<FileError>(!json.is_discarded(), "oracle: {} is not JSON", file.string());
  return json;
}

Tensor tensor(const Json& json, DType dtype, Format format) {
  const Shape shape(json.at("shape").get<std::vector<std::int64_t>>());
  const auto values = json.at("data").get<std::vector<double>>();
  return from_data(std::span<const double>(values), shape,
                   {.dtype = dtype, .format = shape.size() == 4 ? format : Format::contiguous});
}

double error(const Tensor& y, const Tensor& reference, double floor) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (!y.defined() || y.shape() != reference.shape()) return kInfinite;
  const auto u = y.to_vector<double>(), v = reference.to_vector<double>();
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    if (!std::isfinite(u[i])) return kInfinite;
    largest = std::max(largest, std::abs(v[i]));
    worst = std::max(worst, std::abs(u[i] - v[i]));
  }
  return largest < floor ? worst : worst / largest;
}

std::uint64_t fnv1a(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

std::uint64_t Stream::bits(std::uint64_t i) const {
  std::uint64_t z = state + (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double Stream::value(std::uint64_t i) const { return static_cast<double>(bits(i) >> 40) * 0x1p-23 - 1; }

void fill(const std::string& name, const Tensor& parameter, double gain2) {
  const Stream stream(name);
  const std::string_view view = name;
  const auto n = static_cast<std::size_t>(parameter.numel());
  double shift = 1, scale = 0.25;
  if (view.ends_with("num_batches_tracked"))
    shift = 0, scale = 0;
  else if (parameter.rank() >= 2)
    shift = 0, scale = std::sqrt(3 * gain2 / static_cast<double>(parameter.numel() / parameter.shape()[0]));
  else if (view.ends_with("running_var"))
    scale = 0.5;
  else if (view.ends_with("running_mean") || view.ends_with(".bias"))
    shift = 0, scale = 0.1;
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = rounded(shift + scale * stream.value(i));
  assign(parameter, values);
}

Tensor input(std::int64_t n, std::int64_t size, DType dtype) {
  const std::int64_t cell = std::max<std::int64_t>(1, size / 8), grid = (size + cell - 1) / cell;
  const Stream fine("input"), coarse("input.coarse");
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(n * 3 * size * size));
  for (std::int64_t plane = 0; plane < n * 3; ++plane)
    for (std::int64_t y = 0; y < size; ++y)
      for (std::int64_t x = 0; x < size; ++x) {
        const double a = fine.value(static_cast<std::uint64_t>((plane * size + y) * size + x));
        const double b = coarse.value(static_cast<std::uint64_t>((plane * grid + y / cell) * grid + x / cell));
        values.push_back(rounded(a + 1.5 * b));
      }
  return from_data(std::span<const double>(values), {n, 3, size, size},
                   {.dtype = dtype, .format = Format::channels_last});
}

Tensor labels(std::int64_t n, std::int64_t classes) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back((7 * i + 3) % classes);
  return from_data(std::span<const std::int64_t>(values), {n}, {.dtype = DType::i64});
}

double probe(const std::string& name, const Tensor& x) {
  const Stream stream(name + "#probe");
  const auto values = x.to_vector<double>();
  double total = 0;
  for (std::size_t i = 0; i < values.size(); ++i) total += values[i] * stream.value(i);
  return total;
}

}  // namespace gradus::oracle
