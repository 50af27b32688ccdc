#include "nn/files/fuzz_support.hpp"
#include "nn/files/pickle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return gradus::files::try_to_read([&] {
    const auto doc = gradus::files::pickle::load({data, size}, "fuzz");
    doc.find(doc.at(doc.root), "state_dict");
  });
}
