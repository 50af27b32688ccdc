// gradus find-lr

#include <nlohmann/json.hpp>

#include "tools/program.hpp"
#include "tools/train/commands.hpp"
#include "tools/train/config_options.hpp"
#include "tools/train/lr_finder.hpp"

namespace gradus::program {
namespace {

struct Options {
  ConfigOptions asked;
  RangeTest test;
  std::vector<std::string> out{"find-lr.html"};
  std::string device = "cpu";
  bool quiet = false, as_json = false;
};

void find_lr(Command command, const Options& o) {
  const Device device = chosen_device(o.device);
  for (const std::string& path : o.out)
    check<UsageError>(path.ends_with(".png") || path.ends_with(".html") || path.ends_with(".json"),
                      "--out: the ending of {} is none of .png, .html and .json", path);
  const TrainConfig config = asked_config(command, o.asked);
  Progress progress(o.quiet || o.as_json);
  const RangeResult result = reading_options([&] { return find_rate(config, device, o.test, progress); });
  for (const std::string& path : o.out)
    write_range(path, "Learning rates for " + config.model + " on " + config.data, result);
  if (o.as_json) {
    fmt::print(
        "{}\n",
        nlohmann::json{{"suggested", result.suggested}, {"lowest", result.lowest}, {"steps", result.rates.size()}}
            .dump());
    return;
  }
  fmt::print("the loss is least at a learning rate of {:.2g}; a tenth of it is a careful choice: --lr {:.2g}\n",
             result.lowest, result.suggested);
  for (const std::string& path : o.out) fmt::print("  {}\n", path);
}

}  // namespace

void add_find_lr(Command app) {
  const Command command = app.add_command(
      "find-lr", "Find a learning rate: the loss while the rate climbs",
      "gradus find-lr --model resnet20 --data cifar10 --data-dir cifar-10-batches-bin -o lr.html,lr.png\n\n"
      "  All options of `gradus train` that say what is trained and how; --lr and --schedule do not matter.");
  auto o = std::make_shared<Options>();
  add_config_options(command, o->asked);
  const auto test = [](Option option) { return option.group("The test").show_default(); };
  test(command.add_option("--from", o->test.from, "learning rate of the first step"));
  test(command.add_option("--to", o->test.to, "and of the last; it ends before where the loss breaks"));
  test(command.add_option("--steps", o->test.steps, "steps between them, evenly spaced on the logarithm"));
  test(command.add_option("-o,--out", o->out, ".html, .png, .json, or several of them").comma_separated());
  test(command.add_option("--device", o->device, "cpu or cuda"));
  test(command.add_flag("-q,--quiet", o->quiet, "show no progress"));
  test(command.add_flag("--json", o->as_json, "print one JSON object"));
  command.callback([o, command] { find_lr(command, *o); });
}

}  // namespace gradus::program
