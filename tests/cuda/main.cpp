// The test program for cuda:0. In a build that emulates CUDA the emulator is what is meant.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

int main(int argc, char** argv) {
#if defined(GRADUS_SIMT)
  setenv("GRADUS_CUDA", "emulate", /*overwrite=*/0);
#endif
  return doctest::Context(argc, argv).run();
}
