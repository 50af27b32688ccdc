#pragma once
// Commands and their options. What the program uses of CLI11, behind one file: its headers alone take longer to compile
// than a command does.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gradus::program {

/// An option or positional argument that was added to a command; a handle.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required() const;
  Option show_default() const;                     // the value before parsing, in the help
  Option comma_separated() const;                  // for lists: --kernels direct,reference
  Option group(const std::string& heading) const;  // under which the help lists it

 private:
  CLI::Option* option_;
};

/// A command such as `train` or `bench step`; a handle. What options are bound to must outlive parsing.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  /// A command below this one; its help ends with `example`.
  Command add_command(const std::string& name, const std::string& text, const std::string& example) const;
  /// Without one of the commands below it, this one is bad use.
  void require_command() const;

  /// `names`: "-m,--model", or "model" for a positional argument.
  Option add_option(const std::string& names, std::string& value, const std::string& text) const;
  Option add_option(const std::string& names, int& value, const std::string& text) const;
  Option add_option(const std::string& names, std::int64_t& value, const std::string& text) const;
  Option add_option(const std::string& names, std::uint64_t& value, const std::string& text) const;
  Option add_option(const std::string& names, double& value, const std::string& text) const;
  Option add_option(const std::string& names, std::vector<std::string>& value, const std::string& text) const;
  /// "--x,!--no-x" has a form that says no.
  Option add_flag(const std::string& names, bool& value, const std::string& text) const;

  /// What runs when this command is given, after its options were read.
  void callback(std::function<void()> fn) const;
  /// Whether the option ("--model") was given; false for one that the command does not have.
  bool given(const std::string& option) const;

 private:
  CLI::App* app_;
};

/// The answer to what was typed: 0 and nothing (a command ran), 0 and text for stdout (--help, --version), or 2 and one
/// line for stderr. What a command throws passes through.
struct Parsed {
  int status = 0;
  std::string text;
};
Parsed parse_command_line(int argc, const char* const* argv, const std::string& version,
                          const std::function<void(Command)>& add_commands);

}  // namespace gradus::program
