#include "tests/harness/paths.hpp"

namespace gradus::test {

std::string source_dir() { return GRADUS_SOURCE_DIR; }
std::string binary_dir() { return GRADUS_BINARY_DIR; }

}  // namespace gradus::test
