#pragma once
// Where the tests find their files. In one file, so that no other object depends on where the tree lies.

#include <string>

namespace gradus::test {

std::string source_dir();  // the root of the source tree
std::string binary_dir();  // the root of the build

}  // namespace gradus::test
