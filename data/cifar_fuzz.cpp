#include "data/fuzz_support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gradus::data::fuzz_cifar({data, size});
  return 0;
}
