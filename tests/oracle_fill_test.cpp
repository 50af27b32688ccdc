// The fill formula against its published test vectors.

#include <doctest/doctest.h>

#include <numeric>

#include "tests/harness/oracle.hpp"

namespace gradus {

TEST_CASE("fill formula: the hash is FNV-1a") {
  CHECK(oracle::fnv1a("") == 0xcbf29ce484222325u);
  CHECK(oracle::fnv1a("input") == 0x1ebbae8f5810b65bu);
  CHECK(oracle::fnv1a("conv1.weight") == 0x69a29a2cee47d254u);
}

TEST_CASE("fill formula: the stream is splitmix64") {
  oracle::Stream zero("");
  zero.state = 0;
  CHECK(zero.bits(0) == 0xe220a8397b1dcdafu);
  CHECK(zero.bits(1) == 0x6e789e6aa1b965f4u);
  CHECK(zero.bits(2) == 0x06c45d188009454fu);
  const oracle::Stream conv1("conv1.weight");
  CHECK(conv1.bits(0) == 0x8b8a08a85128a1b0u);
  CHECK(conv1.bits(1) == 0xbec2eba82f6f054fu);
  CHECK(conv1.bits(2) == 0x05de32eeed3c84abu);
  CHECK(conv1.value(0) == 0.0901498794555664);
  CHECK(conv1.value(1) == 0.49032342433929443);
  CHECK(conv1.value(2) == -0.9541566371917725);
}

TEST_CASE("fill formula: weights, batch-norm parameters and running statistics") {
  for (DType dtype : {DType::f32, DType::f64})
    for (Format format : {Format::contiguous, Format::channels_last}) {
      const Tensor weight = empty({64, 3, 7, 7}, {.dtype = dtype, .format = format});
      oracle::fill("conv1.weight", weight, 1);
      const auto w = weight.to_vector<double>();
      CHECK(w[0] == 0.012878553941845894);
      CHECK(w[1] == 0.07004620134830475);
      CHECK(w[2] == -0.13630808889865875);
      CHECK(w.back() == doctest::Approx(-0.08578973).epsilon(1e-7));
    }
  const auto first = [](const char* name) {
    const Tensor x = empty({64});
    oracle::fill(name, x, 1);
    return x.to_vector<double>()[0];
  };
  CHECK(first("bn1.weight") == doctest::Approx(0.930102).epsilon(1e-6));
  CHECK(first("bn1.bias") == doctest::Approx(-0.06556076).epsilon(1e-6));
  CHECK(first("bn1.running_mean") == doctest::Approx(0.04688998).epsilon(1e-6));
  CHECK(first("bn1.running_var") == doctest::Approx(1.1423075).epsilon(1e-6));
}

TEST_CASE("fill formula: inputs and labels") {
  const auto total = [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); };
  const auto small = oracle::input(4, 32, DType::f32).to_vector<double>();
  CHECK(small[0] == doctest::Approx(0.4094242).epsilon(1e-6));
  CHECK(small[1] == doctest::Approx(1.5185083).epsilon(1e-6));
  CHECK(small.back() == doctest::Approx(-0.48517537).epsilon(1e-6));
  CHECK(total(small) == doctest::Approx(150.221217871).epsilon(1e-10));
  CHECK(total(oracle::input(2, 224, DType::f64).to_vector<double>()) == doctest::Approx(7263.91796684).epsilon(1e-10));
  const auto large = oracle::input(2, 299, DType::f64).to_vector<double>();
  CHECK(large.back() == doctest::Approx(0.29829538).epsilon(1e-6));
  CHECK(total(large) == doctest::Approx(5134.74225122).epsilon(1e-10));
  CHECK(oracle::labels(3, 10).to_vector<std::int64_t>() == std::vector<std::int64_t>{3, 0, 7});
}

}  // namespace gradus
