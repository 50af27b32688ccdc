#include "core/isa.hpp"

#include <cstdlib>
#include <string_view>

#include "core/error.hpp"

namespace gradus {
namespace {

bool runs(Isa set) {
  switch (set) {
#if defined(GRADUS_HAS_avx512) && defined(__x86_64__)
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
#if defined(GRADUS_HAS_avx2) && defined(__x86_64__)
    case Isa::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    case Isa::portable: return true;
    default: return false;
  }
}

Isa choose() {
  const char* wish = std::getenv("GRADUS_SIMD");
  for (Isa set : {Isa::avx512, Isa::avx2, Isa::portable}) {
    if (!wish && runs(set)) return set;
    if (wish && std::string_view(wish) == isa_name(set)) {
      check(runs(set), "GRADUS_SIMD={}: this CPU or this build has no {}", wish, wish);
      return set;
    }
  }
  fail("GRADUS_SIMD: expected portable, avx2 or avx512, got \"{}\"", wish);
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* isa_name(Isa set) { return set == Isa::avx512 ? "avx512" : set == Isa::avx2 ? "avx2" : "portable"; }

}  // namespace gradus
