#include "tools/program.hpp"

#include <cstdio>
#include <exception>
#include <new>

#include "ops/run.hpp"
#include "tools/train/commands.hpp"

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

}  // namespace

int run(int argc, const char* const* argv) {
  try {
    const Parsed parsed = parse_command_line(argc, argv, GRADUS_VERSION, [](Command gradus) {
      add_train(gradus);
      add_find_lr(gradus);
      add_sweep(gradus);
      add_report(gradus);
      add_eval(gradus);
      add_predict(gradus);
      add_summary(gradus);
      add_models(gradus);
      add_data(gradus);
      add_bench(gradus);
      add_graph(gradus);
      add_visualize(gradus);
      add_import(gradus);
      add_export(gradus);
    });
    if (parsed.status != 0) return report(parsed.text, parsed.status);
    fmt::print("{}", parsed.text);
    if (std::fflush(stdout) != 0) return report("the output could not be written", 1);
    return 0;
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

InputSize parse_input(const std::string& text) {
  InputSize size;
  int end = 0;
  const int read = std::sscanf(text.c_str(), "%ldx%ldx%ld%n", &size.channels, &size.height, &size.width, &end);
  check<UsageError>(read == 3 && end == static_cast<int>(text.size()) && size.channels > 0 && size.height > 0 &&
                        size.width > 0 && size.height <= 65'536 && size.width <= 65'536 && size.channels <= 65'536,
                    "--input: takes channels x height x width such as 3x224x224, got \"{}\"", text);
  return size;
}

Device chosen_device(const std::string& name) {
  const Device device = reading_options([&] { return device_from_name(name); });
  check<UsageError>(device.type != DeviceType::meta, "--device: takes cpu or cuda, got {}", name);
  if (device.type != DeviceType::cpu) {
    check<DeviceError>(kHasCuda, "--device {}: this build has no CUDA (it runs on cpu)", name);
    (void)backend(device);  // which says why it cannot be used
  }
  return device;
}

}  // namespace gradus::program
