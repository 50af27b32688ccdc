#include "tools/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "data/arguments.hpp"

namespace gradus::program {
namespace {

constexpr int kNameColumn = 34;  // characters before an option's text in the help

/// "gradus bench step", as far as it was typed: for "see `gradus bench step --help`".
std::string typed(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  return name;
}

std::string nearest(const std::string& name, const std::vector<std::string>& known) {
  return data::nearest_name(name, std::vector<std::string_view>(known.begin(), known.end()));
}

/// What is wrong with a word that stands in a command's place and names none; empty if there is no such word.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* at = &app;
  std::string path = app.get_name();
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    std::vector<std::string> known;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(command->get_name());
      if (word == known.back()) next = command;
    }
    if (known.empty() || word.starts_with('-')) return "";
    if (next == nullptr)
      return fmt::format("there is no command \"{} {}\"; the nearest is {} (see `{} --help`)", path, word,
                         nearest(word, known), path);
    at = next;
    path += " " + word;
  }
  return "";
}

/// The same for an option, from what CLI11 could not place.
std::string unknown_option(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  std::vector<std::string> known;
  for (const CLI::Option* option : at->get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  const std::vector<std::string> rest = app.remaining(true);
  const auto found = std::find_if(rest.begin(), rest.end(), [](const auto& word) { return word.starts_with("--"); });
  if (found == rest.end()) return "";
  return fmt::format("there is no option {}; the nearest is {}", *found, nearest(*found, known));
}

}  // namespace

Option Option::required() const {
  option_->required();
  return *this;
}
Option Option::show_default() const {
  option_->capture_default_str();
  return *this;
}
Option Option::comma_separated() const {
  option_->delimiter(',');
  return *this;
}
Option Option::group(const std::string& heading) const {
  option_->group(heading);
  return *this;
}

Command Command::add_command(const std::string& name, const std::string& text, const std::string& example) const {
  CLI::App& command = *app_->add_subcommand(name, text);
  command.footer("Example:\n  " + example);
  command.get_formatter()->column_width(kNameColumn);
  return Command(&command);
}
void Command::require_command() const { app_->require_subcommand(1); }

Option Command::add_option(const std::string& names, std::string& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, int& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::int64_t& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::uint64_t& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, double& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_option(const std::string& names, std::vector<std::string>& value, const std::string& text) const {
  return Option(app_->add_option(names, value, text));
}
Option Command::add_flag(const std::string& names, bool& value, const std::string& text) const {
  return Option(app_->add_flag(names, value, text));
}

void Command::callback(std::function<void()> fn) const { app_->callback(std::move(fn)); }
bool Command::given(const std::string& option) const {
  const CLI::Option* found = app_->get_option_no_throw(option);
  return found != nullptr && found->count() > 0;
}

Parsed parse_command_line(int argc, const char* const* argv, const std::string& version,
                          const std::function<void(Command)>& add_commands) {
  CLI::App app("Gradus trains and runs convolutional networks.", "gradus");
  app.set_version_flag("--version", version);
  app.require_subcommand(1);
  app.get_formatter()->column_width(kNameColumn);
  app.footer("`gradus COMMAND --help` shows a command's options and an example.");
  add_commands(Command(&app));
  if (const std::string unknown = unknown_command(app, argc, argv); !unknown.empty()) return {2, unknown};
  try {
    app.parse(argc, argv);
    return {};
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream text, unused;
    app.exit(asked, text, unused);
    std::string shown = text.str();
    if (!shown.ends_with('\n')) shown += '\n';
    return {0, shown};
  } catch (const CLI::ExtrasError& error) {
    const std::string unknown = unknown_option(app);
    return {2, fmt::format("{} (see `{} --help`)", unknown.empty() ? error.what() : unknown, typed(app))};
  } catch (const CLI::ParseError& error) {
    return {2, fmt::format("{} (see `{} --help`)", error.what(), typed(app))};
  }
}

}  // namespace gradus::program
