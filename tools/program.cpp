#include "tools/program.hpp"

#include <cstdio>
#include <exception>
#include <new>

#include "core/device.hpp"

namespace gradus::program {
namespace {

/// A message on one line: operands that stand on lines of their own are joined by semicolons.
std::string one_line(const std::string& text) {
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') {
      line += text[i];
      continue;
    }
    while (i + 1 < text.size() && text[i + 1] == ' ') ++i;
    line += "; ";
  }
  return line;
}

int report(const std::string& what, int status) {
  fmt::print(stderr, "gradus: {}\n", one_line(what));
  return status;
}

/// The command that was given, innermost first in a chain like `bench step`: for "see gradus bench step --help".
std::string command_of(const CLI::App& app) {
  std::string name;
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    name += " " + at->get_name();
  }
  return "gradus" + name;
}

}  // namespace

int run(int argc, const char* const* argv) {
  CLI::App app("Gradus trains and runs convolutional networks.", "gradus");
  app.set_version_flag("--version", GRADUS_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer("`gradus COMMAND --help` shows a command's options and an example.");
  add_train(app);
  add_eval(app);
  add_predict(app);
  add_summary(app);
  add_models(app);
  add_data(app);
  add_bench(app);
  add_graph(app);
  add_import(app);
  add_export(app);

  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0) return report("the output could not be written", 1);
    return 0;
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return report(fmt::format("{} (see `{} --help`)", error.what(), command_of(app)), 2);
  } catch (const UsageError& error) {
    return report(error.what(), 2);
  } catch (const Interrupted& stop) {
    return report(stop.what(), 130);
  } catch (const std::bad_alloc&) {
    return report("out of memory", 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}

CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& text, const std::string& example) {
  CLI::App& command = *parent.add_subcommand(name, text);
  command.footer("Example:\n  " + example);
  command.get_formatter()->column_width(34);
  return command;
}

InputSize parse_input(const std::string& text) {
  InputSize size;
  int end = 0;
  const int read = std::sscanf(text.c_str(), "%ldx%ldx%ld%n", &size.channels, &size.height, &size.width, &end);
  check<UsageError>(read == 3 && end == static_cast<int>(text.size()) && size.channels > 0 && size.height > 0 &&
                        size.width > 0 && size.height <= 65'536 && size.width <= 65'536 && size.channels <= 65'536,
                    "--input: takes channels x height x width such as 3x224x224, got \"{}\"", text);
  return size;
}

void check_device(const std::string& name) {
  const Device device = reading_options([&] { return device_from_name(name); });
  check<UsageError>(device.type != DeviceType::meta, "--device: takes cpu or cuda, got {}", name);
  check<DeviceError>(device.type == DeviceType::cpu, "--device {}: this build has no CUDA (it runs on cpu)", name);
}

}  // namespace gradus::program
