// gradus sweep

#include <nlohmann/json.hpp>

#include "nn/files/atomic_file.hpp"
#include "tools/program.hpp"
#include "tools/train/commands.hpp"
#include "tools/train/config_options.hpp"
#include "tools/train/sweep.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Options {
  ConfigOptions asked;
  std::vector<std::string> set, seeds;
  std::string out = "runs/sweep", device = "cpu";
  bool quiet = false, as_json = false;
};

std::uint64_t seed_of(const std::string& text) {
  const json value = json::parse(text, nullptr, false);
  check<UsageError>(value.is_number_unsigned(), "--seeds: takes whole numbers such as 1,2,3, got \"{}\"", text);
  return value.get<std::uint64_t>();
}

void run_sweep(Command command, const Options& o) {
  const Device device = chosen_device(o.device);
  const TrainConfig base = asked_config(command, o.asked);
  std::vector<SweptSetting> settings;
  for (const std::string& text : o.set) settings.push_back(reading_options([&] { return parse_setting(text); }));
  std::vector<std::uint64_t> seeds;
  for (const std::string& text : o.seeds) seeds.push_back(seed_of(text));
  if (seeds.empty()) seeds.push_back(base.seed);

  Progress progress(o.quiet || o.as_json);
  const std::vector<SweptCombination> all =
      reading_options([&] { return sweep(base, settings, seeds, o.out, device, progress); });
  const json figures = sweep_figures(all);
  files::write_file_atomic(o.out + "/sweep.json", figures.dump(2) + "\n");
  write_sweep_page(o.out + "/sweep.html", base.model + " on " + base.data, all);
  if (o.as_json) {
    fmt::print("{}\n", figures.dump());
    return;
  }
  std::size_t width = 8;
  for (const SweptCombination& c : all) width = std::max(width, c.name.size());
  fmt::print("{:<{}}  runs        best top-1        last top-1\n", "settings", width);
  for (const json& row : figures) {
    fmt::print("{:<{}}  {:>4}", row.at("name").get<std::string>(), width, row.at("runs").size());
    if (row.contains("best_top1"))
      for (const char* key : {"best_top1", "last_top1"})
        fmt::print("  {:6.2f} ± {:5.2f} %", row.at(key).at("mean").get<double>(),
                   row.at(key).at("deviation").get<double>());
    fmt::print("{}\n", row.at("diverged").empty() ? "" : fmt::format("  {} diverged", row.at("diverged").size()));
  }
  fmt::print("{0}/sweep.html\n{0}/sweep.json\n", o.out);
}

}  // namespace

void add_sweep(Command app) {
  const Command command = app.add_command(
      "sweep", "Train with several settings and seeds",
      "gradus sweep --model resnet20 --epochs 5 --set lr=0.05,0.1,0.2 --seeds 1,2,3 --out runs/sweep\n\n"
      "  All options of `gradus train` that say what is trained and how. The same command again goes on where it was "
      "stopped.");
  auto o = std::make_shared<Options>();
  add_config_options(command, o->asked);
  const auto group = [](Option option) { return option.group("The sweep").show_default(); };
  group(command.add_option("--set", o->set,
                           "KEY=VALUE,VALUE,…: every combination of them is trained; semicolons between values with "
                           "commas in them"));
  group(command.add_option("--seeds", o->seeds, "each combination with each of them: 1,2,3").comma_separated());
  group(command.add_option("-o,--out", o->out, "folder, with a folder for every run in it"));
  group(command.add_option("--device", o->device, "cpu or cuda"));
  group(command.add_flag("-q,--quiet", o->quiet, "show no progress"));
  group(command.add_flag("--json", o->as_json, "print the figures as JSON"));
  command.callback([o, command] { run_sweep(command, *o); });
}

}  // namespace gradus::program
