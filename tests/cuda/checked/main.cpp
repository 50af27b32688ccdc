// The test program for cuda:0 in checked mode: its kernels are instrumented, and every launch of the tests is looked at
// (cuda/simt/checker.hpp). Fails on a finding, whatever the tests themselves say. GRADUS_CHECK_REPORT=1 prints the
// tables.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "cuda/simt/checker.hpp"

int main(int argc, char** argv) {
  setenv("GRADUS_CUDA", "emulate", /*overwrite=*/0);
  gradus::simt::Checker checker;
  const int failed = doctest::Context(argc, argv).run();
  gradus::simt::CheckReport report = checker.report();
  if (!std::getenv("GRADUS_CHECK_REPORT")) report.kernels.clear();
  std::fputs(to_string(report).c_str(), stdout);
  return failed != 0 || !report.clean() ? 1 : 0;
}
