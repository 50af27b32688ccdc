// The layers of the source tree: core <- autograd <- ops <- nn <- {zoo, data} <- tools, and core <- cuda <- ops.
// Includes never run upward.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/harness/paths.hpp"

namespace gradus {
namespace {

namespace fs = std::filesystem;

// What each layer may include, itself always among it.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"core", {}},
    {"autograd", {"core"}},
    {"cuda", {"core"}},
    {"ops", {"core", "autograd", "cuda"}},
    {"nn", {"core", "autograd", "cuda", "ops"}},
    {"data", {"core", "autograd", "cuda", "ops", "nn"}},
    {"zoo", {"core", "autograd", "ops", "nn"}},
    {"tools", {"core", "autograd", "cuda", "ops", "nn", "data", "zoo"}},
};

struct Include {
  std::string file;  // which contains it, from the root
  int line;
  std::string path;  // what stands between the quotes
};

/// Every #include "..." of the layers' library code; tests and fuzz targets may include anything.
std::vector<Include> includes() {
  std::vector<Include> found;
  static const std::regex pattern(R"re(^\s*#\s*include\s*"([^"]+)")re");
  static const std::regex free(R"re(_(test|fuzz)(_[a-z]+)*\.(cpp|hpp)$)re");
  for (const auto& [layer, _] : kMayInclude) {
    const fs::path root = fs::path(test::source_dir()) / layer;
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      const std::string extension = entry.path().extension().string(), name = entry.path().string();
      if (extension != ".hpp" && extension != ".cpp" && extension != ".cu" && extension != ".cuh") continue;
      if (std::regex_search(name, free)) continue;
      std::ifstream in(entry.path());
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        std::smatch match;
        if (std::regex_search(line, match, pattern))
          found.push_back({fs::relative(entry.path(), test::source_dir()).string(), number, match[1]});
      }
    }
  }
  return found;
}

std::string layer_of(const std::string& path) { return path.substr(0, path.find('/')); }

}  // namespace

TEST_CASE("layers: no include runs upward") {
  const auto all = includes();
  CHECK(all.size() > 100);
  for (const Include& i : all) {
    const std::string from = layer_of(i.file), to = layer_of(i.path);
    if (to == from || !kMayInclude.contains(to)) continue;
    INFO(i.file, ":", i.line, " includes \"", i.path, "\"");
    CHECK(kMayInclude.at(from).contains(to));
  }
}

TEST_CASE("layers: includes between quotes are written from the root of the tree and exist") {
  for (const Include& i : includes()) {
    INFO(i.file, ":", i.line, " includes \"", i.path, "\"");
    CHECK(fs::exists(fs::path(test::source_dir()) / i.path));
  }
}

TEST_CASE("layers: every header begins with #pragma once") {
  for (const auto& [layer, _] : kMayInclude) {
    const fs::path root = fs::path(test::source_dir()) / layer;
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() != ".hpp") continue;
      std::ifstream in(entry.path());
      std::string first;
      std::getline(in, first);
      INFO(entry.path().string());
      CHECK(first == "#pragma once");
    }
  }
}

TEST_CASE("layers: an operator's folder holds its contract, its specification and its benchmark") {
  const auto ends = [](const fs::path& folder, const std::string& ending) {
    return std::any_of(fs::directory_iterator(folder), fs::directory_iterator(),
                       [&](const auto& entry) { return entry.path().string().ends_with(ending); });
  };
  int operators = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(test::source_dir()) / "ops")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || name == "pool" || name == "channel_rows") continue;  // what several operators share
    CAPTURE(name);
    ++operators;
    CHECK(ends(entry.path(), ".hpp"));
    CHECK(ends(entry.path(), "_test.cpp"));
    CHECK(ends(entry.path(), "_bench.cpp"));
  }
  CHECK(operators >= 20);
}

}  // namespace gradus
