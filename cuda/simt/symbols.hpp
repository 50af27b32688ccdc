#pragma once
// Names and source lines of code addresses, from the program's own symbols and debug information (libbacktrace, where
// the build found it; without it, names are what the dynamic linker knows and there are no lines).

#include <cstdint>
#include <string>
#include <vector>

namespace gradus::simt {

struct SourceLine {
  std::string file;  // empty where unknown
  int line = 0;
  std::string function;  // demangled, without parameters and return type
  bool operator==(const SourceLine&) const = default;
};

/// Where an address stands; with inlining several places at once, innermost first.
std::vector<SourceLine> source_lines(std::uintptr_t address);

/// "gradus::cuda::scale<float>" of "void gradus::cuda::scale<float>(float*, int)".
std::string short_name(const std::string& demangled);

/// A thread-local variable of a program or library: a __shared__ array, by our convention.
struct SharedVariable {
  std::string name;      // as in the source: "tile"
  std::string function;  // the kernel it stands in, or empty
  std::size_t offset;    // in the module's thread-local block
  std::size_t bytes;
};
/// Of the module that holds `address`, by offset; without the emulator's own.
std::vector<SharedVariable> shared_variables(std::uintptr_t address);

}  // namespace gradus::simt
