#include "nn/files/fuzz_support.hpp"
#include "nn/files/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return gradus::files::try_to_read([&] {
    gradus::files::visit(gradus::files::read_safetensors({data, size}, "fuzz"));
  });
}
