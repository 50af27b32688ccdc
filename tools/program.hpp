#pragma once
// The program `gradus`: one command per file (cmd_*.cpp), each added to the command line by its add_… function.
//
// A command ends by returning, or by throwing; run() turns that into the exit status and at most one line on stderr:
// 0 done, 1 failure, 2 bad use, 130 stopped by Ctrl-C.

#include <memory>
#include <string>

#include "core/device.hpp"
#include "core/error.hpp"
#include "tools/command_line.hpp"

namespace gradus::program {

/// What the user asked for cannot be: exit status 2.
struct UsageError : ValueError {
  using ValueError::ValueError;
};

/// Runs fn and turns the library's ValueErrors (unknown names, options out of range) into UsageErrors: for the part of
/// a command that reads its options.
template <class Fn>
decltype(auto) reading_options(Fn&& fn) {
  try {
    return fn();
  } catch (const ValueError& error) {
    throw UsageError(error.what());
  }
}

/// The whole program.
int run(int argc, const char* const* argv);

/// "3x224x224" as three numbers. UsageError.
struct InputSize {
  std::int64_t channels = 3, height = 224, width = 224;
};
InputSize parse_input(const std::string& text);

/// What --device says. DeviceError with the reason where it cannot be used.
Device chosen_device(const std::string& name);

// In the order of the help.
void add_train(Command app);
void add_eval(Command app);
void add_predict(Command app);
void add_summary(Command app);
void add_models(Command app);
void add_data(Command app);
void add_bench(Command app);
void add_graph(Command app);
void add_visualize(Command app);
void add_import(Command app);
void add_export(Command app);

}  // namespace gradus::program
