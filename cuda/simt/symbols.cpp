#include "cuda/simt/symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <sstream>
#include <system_error>
#include <unordered_map>

#if defined(GRADUS_HAS_BACKTRACE)
#include <backtrace.h>
#endif

#include "core/error.hpp"
#include "cuda/simt/launch.hpp"

namespace gradus::simt {

std::string demangle(const char* mangled) {
  int status = 0;
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string result = status == 0 && readable ? readable : mangled;
  std::free(readable);
  return result;
}

namespace {

#if defined(GRADUS_HAS_BACKTRACE)
backtrace_state* state() {
  static backtrace_state* instance = backtrace_create_state(
      nullptr, /*threaded=*/1, [](void*, const char*, int) {}, nullptr);
  return instance;
}
#endif

std::string symbol_at(std::uintptr_t address) {
  std::string found;
#if defined(GRADUS_HAS_BACKTRACE)
  backtrace_syminfo(
      state(), address,
      [](void* data, std::uintptr_t, const char* symbol, std::uintptr_t, std::uintptr_t) {
        if (symbol) *static_cast<std::string*>(data) = symbol;
      },
      [](void*, const char*, int) {}, &found);
#endif
  Dl_info info;
  if (found.empty() && ::dladdr(reinterpret_cast<void*>(address), &info) != 0 && info.dli_sname) found = info.dli_sname;
  return found;
}

}  // namespace

std::size_t function_bytes([[maybe_unused]] std::uintptr_t function) {
  std::size_t bytes = 0;
#if defined(GRADUS_HAS_BACKTRACE)
  backtrace_syminfo(
      state(), function,
      [](void* data, std::uintptr_t, const char*, std::uintptr_t, std::uintptr_t size) {
        *static_cast<std::size_t*>(data) = size;
      },
      [](void*, const char*, int) {}, &bytes);
#endif
  return bytes;
}

std::string short_name(const std::string& demangled) {
  std::string name = demangled;
  // "(anonymous namespace)::" has a parenthesis of its own.
  for (std::size_t at; (at = name.find("(anonymous namespace)::")) != std::string::npos;) name.erase(at, 23);
  if (const auto end = name.rfind(')'); end != std::string::npos) {
    int depth = 0;
    for (std::size_t i = end + 1; i-- > 0;) {
      if (name[i] == ')') ++depth;
      if (name[i] == '(' && --depth == 0) {
        name.resize(i);
        break;
      }
    }
  }
  int depth = 0;
  std::size_t begin = 0;  // after the last space outside <>: what stands before it is the return type
  for (std::size_t i = 0; i < name.size(); ++i) {
    depth += name[i] == '<' ? 1 : name[i] == '>' ? -1 : 0;
    if (name[i] == ' ' && depth == 0) begin = i + 1;
  }
  return name.substr(begin);
}

std::string kernel_name(const void* kernel) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string symbol = symbol_at(reinterpret_cast<std::uintptr_t>(kernel));
  return symbol.empty() ? "(a kernel without a symbol)" : short_name(demangle(symbol.c_str()));
}

namespace {

#if defined(GRADUS_HAS_BACKTRACE)
std::vector<SourceLine> lines_at(std::uintptr_t address) {
  std::vector<SourceLine> lines;
  backtrace_pcinfo(
      state(), address,
      [](void* data, std::uintptr_t, const char* file, int line, const char* function) {
        if (file)
          static_cast<std::vector<SourceLine>*>(data)->push_back(
              {file, line, function ? short_name(demangle(function)) : std::string()});
        return 0;
      },
      [](void*, const char*, int) {}, &lines);
  return lines;
}
#endif

/// What binutils' addr2line says, if it is there. libbacktrace does not find a function of a file whose address range
/// encloses one of another file: templates that several files share make such ranges.
std::vector<SourceLine> lines_by_addr2line(std::uintptr_t address) {
  std::vector<SourceLine> lines;
  const Module module = module_of(address);
  std::error_code error;
  const std::string path =
      module.path == "/proc/self/exe" ? std::filesystem::read_symlink(module.path, error).string() : module.path;
  if (path.empty() || path.find('\'') != std::string::npos) return lines;
  const std::string command = fmt::format("addr2line -f -i -e '{}' {:#x} 2>/dev/null", path, address - module.begin);
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  if (!pipe) return lines;
  std::string text;
  char buffer[512];  // the stack may be a fiber's
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe.get())) text.append(buffer, n);
  std::istringstream in(text);  // the function's name, then file:line, from the innermost outwards
  for (std::string function, place; std::getline(in, function) && std::getline(in, place);) {
    const auto colon = place.rfind(':');
    const int line = colon == std::string::npos ? 0 : std::atoi(place.c_str() + colon + 1);
    if (line > 0) lines.push_back({place.substr(0, colon), line, short_name(demangle(function.c_str()))});
  }
  return lines;
}

}  // namespace

std::vector<SourceLine> source_lines(std::uintptr_t address) {
  std::vector<SourceLine> lines;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
#if defined(GRADUS_HAS_BACKTRACE)
  lines = lines_at(address);
#endif
  if (lines.empty()) {
    static std::unordered_map<std::uintptr_t, std::vector<SourceLine>> told;  // it takes a while
    const auto [known, fresh] = told.try_emplace(address);
    if (fresh) known->second = lines_by_addr2line(address);
    lines = known->second;
  }
  return lines;
}

namespace {

/// Calls fn(info) for each module until it returns true.
template <class Fn>
void each_module(Fn fn) {
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) { return (*static_cast<Fn*>(data))(*info) ? 1 : 0; }, &fn);
}

bool holds(const dl_phdr_info& info, std::uintptr_t address) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const auto& segment = info.dlpi_phdr[i];
    const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && address >= begin && address < begin + segment.p_memsz) return true;
  }
  return false;
}

}  // namespace

Module module_of(std::uintptr_t address) {
  Module module;
  each_module([&](const dl_phdr_info& info) {
    if (!holds(info, address)) return false;
    module.path = info.dlpi_name[0] == '\0' ? "/proc/self/exe" : info.dlpi_name;
    module.tls_begin = reinterpret_cast<std::uintptr_t>(info.dlpi_tls_data);
    module.begin = info.dlpi_addr;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      const auto& segment = info.dlpi_phdr[i];
      if (segment.p_type == PT_TLS) module.tls_bytes = segment.p_memsz;
      if (segment.p_type == PT_LOAD)
        module.end = std::max(module.end, info.dlpi_addr + segment.p_vaddr + segment.p_memsz);
    }
    return true;
  });
  return module;
}

bool in_a_module(std::uintptr_t address) {
  bool found = false;
  each_module([&](const dl_phdr_info& info) { return found = holds(info, address); });
  return found;
}

std::vector<SharedVariable> shared_variables(const Module& module) {
  std::ifstream in(module.path, std::ios::binary);
  const std::vector<char> image((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<SharedVariable> found;
  if (image.size() < sizeof(ElfW(Ehdr)) || std::memcmp(image.data(), ELFMAG, SELFMAG) != 0) return found;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(image.data());
  const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(image.data() + header->e_shoff);
  for (int s = 0; s < header->e_shnum; ++s) {
    if (sections[s].sh_type != SHT_SYMTAB) continue;
    const char* strings = image.data() + sections[sections[s].sh_link].sh_offset;
    const auto* symbols = reinterpret_cast<const ElfW(Sym)*>(image.data() + sections[s].sh_offset);
    for (std::size_t i = 0; i < sections[s].sh_size / sizeof(ElfW(Sym)); ++i) {
      if ((symbols[i].st_info & 0xf) != STT_TLS || symbols[i].st_shndx == SHN_UNDEF || symbols[i].st_size == 0)
        continue;
      // A local static: "_ZZ<function>E<name>".
      const char* mangled = strings + symbols[i].st_name;
      if (std::strncmp(mangled, "_ZZ", 3) != 0) continue;
      std::string full = demangle(mangled);
      if (full.starts_with("guard variable") || full.find("Executor::here()") != std::string::npos) continue;
      const auto colons = full.rfind("::");
      if (colons == std::string::npos) continue;
      found.push_back(
          {full.substr(colons + 2), short_name(full.substr(0, colons)), symbols[i].st_value, symbols[i].st_size});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const SharedVariable& a, const SharedVariable& b) { return a.offset < b.offset; });
  return found;
}

}  // namespace gradus::simt
