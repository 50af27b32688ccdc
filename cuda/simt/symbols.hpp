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

/// Bytes of the function that begins at the address; 0 where unknown.
std::size_t function_bytes(std::uintptr_t function);

/// A symbol as the source would write it, or as it is where it is no C++ name.
std::string demangle(const char* mangled);
/// "gradus::cuda::scale<float>" of "void gradus::cuda::scale<float>(float*, int)".
std::string short_name(const std::string& demangled);

/// The program or library that holds an address.
struct Module {
  std::string path;  // to read it by
  std::uintptr_t begin = 0, end = 0;
  // The calling operating-system thread's copy of its thread-local variables.
  std::uintptr_t tls_begin = 0;
  std::size_t tls_bytes = 0;
};
Module module_of(std::uintptr_t address);
/// Does an address lie in any module's code or data?
bool in_a_module(std::uintptr_t address);

/// A thread-local variable that stands in a function: by our convention, a __shared__ array.
struct SharedVariable {
  std::string name;      // as in the source: "tile"
  std::string function;  // the kernel or device function it stands in
  std::size_t offset;    // from tls_begin
  std::size_t bytes;
};
/// A module's, by offset.
std::vector<SharedVariable> shared_variables(const Module& module);

}  // namespace gradus::simt
