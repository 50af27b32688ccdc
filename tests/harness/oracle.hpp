#pragma once
// Figures computed elsewhere, and the formula that fills a network with numbers anyone can compute again.
//
// A folder of such figures holds ops/<op>.json (small operations, all values written out) and <model>.json (whole
// networks: sums, norms, first values). tests/oracle has the ones that come with the source; GRADUS_ORACLE_DIR names
// another folder of the same form.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/tensor.hpp"

namespace gradus::oracle {

using Json = nlohmann::json;

/// GRADUS_ORACLE_DIR, or the folder in the source tree.
std::filesystem::path folder();
/// The .json files directly in a folder, sorted by name; none if there is no such folder.
std::vector<std::filesystem::path> json_files(const std::filesystem::path& in);
/// FileError that names the file if it cannot be read or parsed.
Json load(const std::filesystem::path& file);

/// {"shape": […], "data": […]} in row-major order.
Tensor tensor(const Json& json, DType dtype, Format format = Format::contiguous);

/// The largest |y - reference|, relative to the largest |reference| (absolute where that is below `floor`); infinite
/// where a shape differs or a value is not finite.
double error(const Tensor& y, const Tensor& reference, double floor = 1e-6);

// The fill formula: a stream of numbers for every name.

/// 64-bit FNV-1a of the name's bytes.
std::uint64_t fnv1a(std::string_view name);

/// splitmix64 from that hash.
struct Stream {
  std::uint64_t state;
  explicit Stream(std::string_view name) : state(fnv1a(name)) {}
  std::uint64_t bits(std::uint64_t i) const;
  double value(std::uint64_t i) const;  // in [-1, 1), exact in f32
};

/// Writes into a parameter or buffer called `name` its numbers, rounded to f32 whatever its dtype:
///   2-D and more                     value sqrt(3 gain2 / fan_in), fan_in = elements / shape[0]
///   1-D ending in running_var        1 + 0.5 value
///   1-D ending in running_mean       0.1 value
///   1-D ending in .bias              0.1 value
///   any other 1-D                    1 + 0.25 value
///   ending in num_batches_tracked    0
void fill(const std::string& name, const Tensor& parameter, double gain2);

/// [N, 3, S, S]: fine noise on coarse noise.
Tensor input(std::int64_t n, std::int64_t size, DType dtype);
/// i64 [N]: (7 n + 3) mod classes.
Tensor labels(std::int64_t n, std::int64_t classes);
/// Sum over i of x_i times the stream of "<name>#probe", in logical order.
double probe(const std::string& name, const Tensor& x);

}  // namespace gradus::oracle
