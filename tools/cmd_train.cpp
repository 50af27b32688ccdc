// gradus train

#include <nlohmann/json.hpp>

#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "tools/program.hpp"
#include "tools/train/recipes.hpp"
#include "tools/train/trainer.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Options {
  TrainConfig config;
  std::string out = "runs/latest";
  std::string device = "cpu", recipe;
  bool amp = false, resume = false, overwrite = false, quiet = false, as_json = false;
};

std::string option_of(const std::string& key) {
  std::string option = "--" + key;
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

/// Whether the command line sets that member of the configuration.
bool was_given(Command command, const std::string& key) { return command.given(option_of(key)); }

/// The configuration of the run in `folder`. UsageError for an option that was given and says otherwise.
TrainConfig resumed_config(Command command, const RunFolder& folder, const TrainConfig& asked) {
  const json saved = folder.read_config(), given = asked;
  json merged = saved;
  for (const auto& [key, value] : given.items()) {
    if (!was_given(command, key)) continue;
    if (key == "threads" || key == "workers" || key == "data_dir") {  // change nothing that is computed
      merged[key] = value;
      continue;
    }
    check<UsageError>(saved.at(key) == value, "train: the run in {} has {} {}, not {}; --resume continues it as it was",
                      folder.path(), option_of(key), saved.at(key).dump(), value.dump());
  }
  return merged.get<TrainConfig>();
}

/// A recipe's configuration, changed by the options that were given.
TrainConfig with_recipe(Command command, const std::string& name, const TrainConfig& asked) {
  TrainConfig base;
  reading_options([&]() -> const Recipe& { return find_recipe(name); }).apply(base);
  const json given = asked;
  json merged = base;
  for (const auto& [key, value] : given.items())
    if (was_given(command, key)) merged[key] = value;
  return merged.get<TrainConfig>();
}

void train(Command command, Options& o) {
  const Device device = chosen_device(o.device);
  check<DeviceError>(!o.amp, "--amp: mixed precision needs a CUDA device, and this build has none");
  const RunFolder folder(o.out);
  if (!o.recipe.empty() && !o.resume) o.config = with_recipe(command, o.recipe, o.config);
  if (o.resume) {
    o.config = resumed_config(command, folder, o.config);
    check<FileError>(folder.has_checkpoint(),
                     "{}: no checkpoint yet, the run stopped in its first epoch; start it again without --resume",
                     o.out);
  } else {
    check<UsageError>(
        o.overwrite || !folder.has_checkpoint(),
        "{}: holds a run already; --resume continues it, --overwrite replaces it, --out names another folder", o.out);
  }

  Progress progress(o.quiet || o.as_json);
  Trainer trainer = reading_options([&] { return Trainer(o.config, device); });
  folder.prepare(trainer.disk_bytes());
  if (o.resume) {
    trainer.resume(folder);
  } else {
    folder.discard();
    folder.write_config(o.config);
  }
  progress.line(fmt::format("{} on {}: {} parameters, {} threads, {} kernels", o.config.model, o.config.data,
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
                  o.config.data_dir.empty() ? "" : " --data-dir " + o.config.data_dir));
}

}  // namespace

void add_train(Command app) {
  const Command command = app.add_command(
      "train", "Train a network",
      "gradus train --model resnet20 --data cifar10 --data-dir cifar-10-batches-bin --epochs 10 --out runs/r20\n"
      "  gradus train --resume --out runs/r20\n\n"
      "A run's folder holds config.json, log.jsonl, checkpoint.safetensors, best.safetensors and report.html. Ctrl-C "
      "saves.");
  auto o = std::make_shared<Options>();
  TrainConfig& c = o->config;
  const auto group = [](Option option, const char* name) { return option.group(name).show_default(); };
  const auto what = [&](Option option) { return group(option, "What"); };
  const auto how = [&](Option option) { return group(option, "How"); };
  const auto run = [&](Option option) { return group(option, "The run"); };

  what(command.add_option("-m,--model", c.model, "a name from `gradus models`"));
  what(command.add_option("--data", c.data, "builtin, cifar10, cifar100 or imagefolder"));
  what(command.add_option("--data-dir", c.data_dir, "folder with the data; imagefolder: with train/ and val/ in it"));
  what(command.add_option("--classes", c.classes, "imagefolder: file that lists the classes"));
  what(command.add_flag("--skip-bad", c.skip_bad, "leave out images that cannot be decoded"));
  what(command.add_option("--augment", c.augment,
                          "none, standard, or transforms: \"random_crop(32, padding=4) | flip\""));
  what(command.add_option("--size", c.size, "height and width of the input (0: 32, for imagefolder 224)"));
  what(command.add_option("--limit", c.limit, "train on so many images (0: all)"));
  what(command.add_option("--limit-val", c.limit_val, "validate on so many images (0: all)"));
  what(command.add_option("-w,--weights", c.weights, "start from this weight file"));
  what(command.add_flag("--replace-head", c.replace_head, "with a new classifier, for other classes"));
  what(command.add_option("--freeze", c.freeze, "keep weights as they are: none, backbone or until=LAYER"));
  what(command.add_option("--dropout", c.dropout, "probability, where the network has dropout (-1: its own)"));

  std::string names;
  for (const Recipe& r : recipes()) names += (names.empty() ? "" : ", ") + r.name;
  how(command.add_option("--recipe", o->recipe, "a paper's settings, changed by the options given: " + names));
  how(command.add_option("-e,--epochs", c.epochs, "times through the data"));
  how(command.add_option("-b,--batch", c.batch, "images per step"));
  how(command.add_option("--optimizer", c.optimizer,
                         "sgd, sgd-velocity (AlexNet, Caffe), adam, adamw, rmsprop or rmsprop-tf (Inception)"));
  how(command.add_option("--lr", c.lr, "learning rate; the highest one of a schedule"));
  how(command.add_option(
      "--schedule", c.schedule,
      "one-cycle, cosine, poly:POWER, step:EPOCHS,GAMMA, multistep:E,E,…, exponential:GAMMA, plateau or "
      "constant"));
  how(command.add_option("--warmup", c.warmup, "epochs of linear warm-up before it"));
  how(command.add_option("--momentum", c.momentum, "of sgd and rmsprop"));
  how(command.add_flag("--nesterov,!--no-nesterov", c.nesterov, "Nesterov's form of momentum"));
  how(command.add_option("--weight-decay", c.weight_decay, ""));
  how(command.add_flag("--decay-all,!--no-decay-all", c.decay_all, "decay biases and normalisation too"));
  how(command.add_option("--label-smoothing", c.label_smoothing, "share of the target spread over all classes"));
  how(command.add_option("--clip-norm", c.clip_norm, "bound of the gradients' common norm (0: none)"));
  how(command.add_option("--ema", c.ema, "decay of an average of the weights, which is what is evaluated (0: off)"));
  how(command.add_option("--seed", c.seed, "the same seed gives the same network, to the bit"));

  run(command.add_option("-o,--out", o->out, "folder of the run"));
  run(command.add_flag("--resume", o->resume, "go on from the folder's checkpoint"));
  run(command.add_flag("--overwrite", o->overwrite, "replace the run in the folder"));
  run(command.add_option("--workers", c.workers, "threads that prepare batches"));
  run(command.add_option("--threads", c.threads, "threads that compute (0: as the machine has)"));
  run(command.add_option("--device", o->device, "cpu or cuda"));
  run(command.add_flag("--amp", o->amp, "mixed precision (cuda)"));
  run(command.add_flag("-q,--quiet", o->quiet, "show nothing but errors"));
  run(command.add_flag("--json", o->as_json, "print the last epoch as one JSON object"));
  command.callback([o, command] { train(command, *o); });
}

}  // namespace gradus::program
