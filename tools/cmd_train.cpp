// gradus train

#include <nlohmann/json.hpp>

#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "tools/precision.hpp"
#include "tools/program.hpp"
#include "tools/train/config_options.hpp"
#include "tools/train/trainer.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Options {
  ConfigOptions asked;
  std::string out = "runs/latest";
  std::string device = "cpu";
  bool resume = false, overwrite = false, quiet = false, as_json = false;
};

/// The configuration of the run in `folder`. UsageError for an option that was given and says otherwise.
TrainConfig resumed_config(Command command, const RunFolder& folder, const ConfigOptions& options) {
  check<UsageError>(options.recipe.empty() && options.file.empty(),
                    "--resume: continues a run as it was; --recipe and --config begin one");
  const TrainConfig saved = folder.read_config();
  const json before = saved, asked = asked_config(command, options);
  json changes = json::object();
  for (const auto& [key, value] : asked.items()) {
    if (!command.given(option_of(key))) continue;
    if (key == "threads" || key == "workers" || key == "histograms" ||
        key == "data_dir") {  // change nothing that is computed
      changes[key] = value;
      continue;
    }
    check<UsageError>(before.at(key) == value,
                      "train: the run in {} has {} {}, not {}; --resume continues it as it was", folder.path(),
                      option_of(key), before.at(key).dump(), value.dump());
  }
  return changed_by(saved, changes, "the command line");
}

void train(Command command, const Options& o) {
  const Device device = chosen_device(o.device);
  const RunFolder folder(o.out);
  const TrainConfig config = o.resume ? resumed_config(command, folder, o.asked) : asked_config(command, o.asked);
  (void)compute_on(device, config.amp, config.tf32);  // refused before the folder is touched
  if (o.resume) {
    check<FileError>(folder.has_checkpoint(),
                     "{}: no checkpoint yet, the run stopped in its first epoch; start it again without --resume",
                     o.out);
  } else {
    check<UsageError>(
        o.overwrite || !folder.has_checkpoint(),
        "{}: holds a run already; --resume continues it, --overwrite replaces it, --out names another folder", o.out);
  }

  Progress progress(o.quiet || o.as_json);
  Trainer trainer = reading_options([&] { return Trainer(config, device); });
  folder.prepare(trainer.disk_bytes());
  if (o.resume) {
    trainer.resume(folder);
  } else {
    folder.discard();
    folder.write_config(config);
  }
  progress.line(fmt::format("{} on {}: {} parameters, {} threads, {} kernels", config.model, config.data,
                            grouped(trainer.model().parameter_count()), num_threads(), isa_name(isa())));
  trainer.run(folder, progress);

  const EpochRecord& best = *trainer.best();
  const EpochRecord& last = trainer.history().back();
  if (o.as_json) {
    json result = last;
    result["best_val_top1"] = best.val_top1;
    result["best_epoch"] = best.epoch;
    result["out"] = o.out;
    fmt::print("{}\n", result.dump());
    return;
  }
  progress.line(
      fmt::format("best top-1 {:.2f} % in epoch {}\n  weights  {}\n  report   {}\n  next     gradus eval --weights {}"
                  "{}",
                  best.val_top1, best.epoch, folder.best(), folder.file("report.html"), folder.best(),
                  config.data_dir.empty() ? "" : " --data-dir " + config.data_dir));
}

}  // namespace

void add_train(Command app) {
  const Command command = app.add_command(
      "train", "Train a network",
      "gradus train --model resnet20 --data cifar10 --data-dir cifar-10-batches-bin --epochs 10 --out runs/r20\n"
      "  gradus train --resume --out runs/r20\n"
      "  gradus train --config runs/r20/config.json --out runs/again        the same bits\n\n"
      "A run's folder holds config.json, log.jsonl, checkpoint.safetensors, best.safetensors and report.html. Ctrl-C "
      "saves.");
  auto o = std::make_shared<Options>();
  add_config_options(command, o->asked);
  const auto run = [](Option option) { return option.group("The run").show_default(); };
  run(command.add_option("-o,--out", o->out, "folder of the run"));
  run(command.add_flag("--resume", o->resume, "go on from the folder's checkpoint"));
  run(command.add_flag("--overwrite", o->overwrite, "replace the run in the folder"));
  run(command.add_option("--device", o->device, "cpu or cuda"));
  run(command.add_flag("-q,--quiet", o->quiet, "show nothing but errors"));
  run(command.add_flag("--json", o->as_json, "print the last epoch as one JSON object"));
  command.callback([o, command] { train(command, *o); });
}

}  // namespace gradus::program
