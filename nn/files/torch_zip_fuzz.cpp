#include "nn/files/fuzz_support.hpp"
#include "nn/files/torch_checkpoint.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (!gradus::files::is_torch_zip({data, size})) return -1;  // not worth keeping
  return gradus::files::try_to_read([&] {
    gradus::files::visit(gradus::files::read_torch_checkpoint({data, size}, "fuzz"));
  });
}
