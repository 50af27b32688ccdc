#include "tools/machine.hpp"

#include <atomic>
#include <limits>

#include "core/blas.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"

namespace gradus::program {

Machine describe_machine() {
  Machine machine{.isa = isa_name(isa()), .blas = blas::library_info(), .warnings = {}};
  const std::string core = blas::core_name();
  if (isa() != Isa::portable && (core == "Prescott" || core == "Core2" || core == "Nehalem"))
    machine.warnings.push_back(
        "OpenBLAS runs " + core +
        " kernels, at a fraction of this CPU's speed; set OPENBLAS_CORETYPE=Haswell or SkylakeX");
  std::atomic<int> kept = 0;
  parallel_for(num_threads() * 4, [&](std::int64_t) {
    volatile float tiny = std::numeric_limits<float>::min();
    volatile float half = tiny * 0.5f;
    if (half != 0) ++kept;
  });
  if (kept > 0) machine.warnings.emplace_back("denormal numbers are not flushed to zero; they cost up to 40 times");
  return machine;
}

std::string engine_name() { return "gradus " GRADUS_VERSION; }

}  // namespace gradus::program
