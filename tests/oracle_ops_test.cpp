// Every case of ops/*.json: value, gradients and state afterwards, in f64 and f32, contiguous and channels-last.

#include <doctest/doctest.h>

#include "tests/harness/oracle.hpp"
#include "tests/harness/oracle_ops.hpp"

namespace gradus {

TEST_CASE("oracle: every operation's values, gradients and state") {
  int cases = 0;
  for (const auto& file : oracle::json_files(oracle::folder() / "ops")) {
    const std::string op = file.stem().string();
    if (op == "optim" || op == "schedules") continue;  // trajectories, not operations
    cases += oracle::run_operation(op, kCpu);
  }
  CHECK(cases > 0);
}

}  // namespace gradus
