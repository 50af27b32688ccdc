// The page of code in the README is tests/consumer/train.cpp, which the test "tests.install" compiles and runs.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/harness/paths.hpp"

namespace gradus {

TEST_CASE("README: its page of code is the program that the tests run") {
  const auto read = [](const char* path) {
    std::ifstream in(test::source_dir() + "/" + path);
    REQUIRE_MESSAGE(in.good(), path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string program = read("tests/consumer/train.cpp");
  CHECK(read("README.md").find(program.substr(program.find("#include"))) != std::string::npos);
}

}  // namespace gradus
