#include "core/isa.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

namespace gradus {

TEST_CASE("isa: names the set, and obeys GRADUS_SIMD where it is set") {
  CHECK(std::string(isa_name(Isa::portable)) == "portable");
  CHECK(std::string(isa_name(Isa::avx2)) == "avx2");
  CHECK(std::string(isa_name(Isa::avx512)) == "avx512");
  if (const char* wish = std::getenv("GRADUS_SIMD")) CHECK(std::string(isa_name(isa())) == wish);
}

TEST_CASE("isa: never picks a set that this CPU lacks") {
#if defined(__x86_64__)
  if (isa() == Isa::avx2) CHECK(__builtin_cpu_supports("avx2"));
  if (isa() == Isa::avx512) CHECK(__builtin_cpu_supports("avx512f"));
#else
  CHECK(isa() == Isa::portable);
#endif
}

}  // namespace gradus
