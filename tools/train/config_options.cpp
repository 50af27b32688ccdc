#include "tools/train/config_options.hpp"

#include <algorithm>

#include "tools/precision.hpp"
#include "tools/program.hpp"
#include "tools/train/recipes.hpp"
#include "tools/train/run_folder.hpp"

namespace gradus::program {

std::string option_of(const std::string& key) {
  std::string option = "--" + key;
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

void add_config_options(Command command, ConfigOptions& o) {
  TrainConfig& c = o.config;
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
  what(command.add_option("--mixup", c.mixup, "alpha: blend pairs of pictures (0: off)"));
  what(command.add_option("--cutmix", c.cutmix, "alpha: paste a box of one picture into another (0: off)"));
  what(command.add_option("--size", c.size, "height and width of the input (0: 32, for imagefolder 224)"));
  what(command.add_option("--limit", c.limit, "train on so many images (0: all)"));
  what(command.add_option("--limit-val", c.limit_val, "validate on so many images (0: all)"));
  what(command.add_option("-w,--weights", c.weights, "start from this weight file"));
  what(command.add_flag("--replace-head", c.replace_head, "with a new classifier, for other classes"));
  what(command.add_option("--freeze", c.freeze, "keep weights as they are: none, backbone or until=LAYER"));
  what(command.add_option("--dropout", c.dropout, "probability, where the network has dropout (-1: its own)"));
  what(command.add_option("--survival", c.survival,
                          "stochastic depth: probability that the last block survives (-1: the network's own)"));
  what(command.add_option("--init", c.init,
                          "initial values: published, paper (to the letter) or framework (PyTorch's)"));

  how(command.add_option("--recipe", o.recipe, "a paper's settings, changed by the options given: " + recipe_names()));
  how(command.add_option("--config", o.file,
                         "JSON file of settings, such as a run's config.json; options change them"));
  how(command.add_option("-e,--epochs", c.epochs, "times through the data"));
  how(command.add_option("-b,--batch", c.batch, "images per batch"));
  how(command.add_option("--accumulate", c.accumulate, "batches whose gradients are averaged for one step"));
  how(command.add_option("--optimizer", c.optimizer,
                         "sgd, sgd-velocity (AlexNet, Caffe), adam, adamw, rmsprop or rmsprop-tf (Inception)"));
  how(command.add_option("--lr", c.lr, "learning rate; the highest one of a schedule"));
  how(command.add_option(
      "--schedule", c.schedule,
      "one-cycle, cosine, poly:POWER, step:EPOCHS,GAMMA, multistep:E,E,…, exponential:GAMMA, plateau or "
      "constant"));
  how(command.add_option("--warmup", c.warmup, "epochs of warm-up"));
  how(command.add_option("--warmup-lr", c.warmup_lr,
                         "its constant rate (0: it climbs, and the schedule begins after)"));
  how(command.add_option("--momentum", c.momentum, "of sgd and rmsprop"));
  how(command.add_flag("--nesterov,!--no-nesterov", c.nesterov, "Nesterov's form of momentum"));
  how(command.add_option("--weight-decay", c.weight_decay, ""));
  how(command.add_flag("--decay-all,!--no-decay-all", c.decay_all, "decay biases and normalisation too"));
  how(command.add_option("--label-smoothing", c.label_smoothing, "share of the target spread over all classes"));
  how(command.add_option("--aux-weight", c.aux_weight, "of auxiliary heads in the loss (-1: the network's own)"));
  how(command.add_option("--clip-norm", c.clip_norm, "bound of the gradients' common norm (0: none)"));
  how(command.add_option("--filter-rms", c.filter_rms,
                         "scale filters back to this root mean square, as ZFNet's were (0: off)"));
  how(command.add_option("--ema", c.ema, "decay of an average of the weights, which is what is evaluated (0: off)"));
  how(command.add_option("--early-stop", c.early_stop, "stop after so many epochs without a better top-1 (0: off)"));
  how(command.add_flag("--amp", c.amp, kAmpHelp));
  how(command.add_flag("--tf32", c.tf32, kTf32Help));
  how(command.add_option("--seed", c.seed, "the same seed gives the same network, to the bit"));

  run(command.add_option("--workers", c.workers, "threads that prepare batches"));
  run(command.add_flag("--histograms", c.histograms, "record activations and gradients layer by layer, once an epoch"));
  run(command.add_option("--threads", c.threads, "threads that compute (0: as the machine has)"));
}

TrainConfig asked_config(Command command, const ConfigOptions& o) {
  TrainConfig base;
  if (!o.recipe.empty()) base = reading_options([&] { return recipe_config(o.recipe); });
  if (!o.file.empty()) base = reading_options([&] { return read_config_file(o.file, base); });
  const nlohmann::json all = o.config;
  nlohmann::json given = nlohmann::json::object();
  for (const auto& [key, value] : all.items())
    if (command.given(option_of(key))) given[key] = value;
  return changed_by(base, given, "the command line");
}

}  // namespace gradus::program
