#pragma once
// What a training run is asked to do. The command line fills it in, config.json in the run's folder keeps it, and a
// resumed run reads it back from there.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "nn/module.hpp"
#include "nn/optim/optimizer.hpp"
#include "nn/schedule/plateau.hpp"
#include "nn/schedule/schedule.hpp"

namespace gradus::program {

struct TrainConfig {
  std::string model = "resnet20";
  double dropout = -1;             // negative: the model's own
  double survival = -1;            // stochastic depth: of the last block; negative: the model's own
  std::string init = "published";  // published, paper, framework: zoo::Init
  std::string weights;             // file to start from; empty: the model's own initial values
  bool replace_head = false;
  std::string freeze = "none";  // none, backbone, until=LAYER

  std::string data = "builtin";  // a name of data_set_names()
  std::string data_dir;
  std::string classes;               // list of classes for imagefolder
  bool skip_bad = false;             // leave out images that cannot be decoded
  std::string augment = "standard";  // none, standard, or a pipeline as data/pipeline.hpp reads it
  double mixup = 0, cutmix = 0;      // alpha of data::Mix; 0: off, or what `augment` says
  std::int64_t size = 0;             // height and width of the input; 0: the data set's or the model's
  std::int64_t limit = 0;            // use that many training samples; 0: all
  std::int64_t limit_val = 0;

  std::int64_t epochs = 10;
  std::int64_t batch = 128;
  std::int64_t accumulate = 1;    // batches whose gradients are averaged for one step of the optimiser
  std::string optimizer = "sgd";  // sgd, sgd-velocity, adam, adamw, rmsprop, rmsprop-tf
  double lr = 0.1;
  std::string schedule = "one-cycle";
  double warmup = 0;     // epochs of warm-up
  double warmup_lr = 0;  // its constant rate; 0: it climbs linearly
  double momentum = 0.9;
  bool nesterov = true;
  double weight_decay = 5e-4;
  bool decay_all = true;  // decay biases and normalisation too
  double label_smoothing = 0;
  double aux_weight = -1;       // of auxiliary heads' losses; negative: the network's own
  double clip_norm = 0;         // 0: off
  double filter_rms = 0;        // bound of the root mean square of a filter's weights; 0: off
  double ema = 0;               // decay of the weight average; 0: off
  std::int64_t early_stop = 0;  // stop after so many epochs without a better top-1; 0: off
  bool amp = false;             // forward in bf16, on a CUDA device (autograd/autocast.hpp)
  bool tf32 = false;            // products of f32 in TF32, on a CUDA device
  std::uint64_t seed = 0;

  int workers = 1;
  int threads = 0;          // 0: as the machine has
  bool histograms = false;  // of activations and gradients, once an epoch

  bool operator==(const TrainConfig&) const = default;
};

/// All members, under their names.
void to_json(nlohmann::json& j, const TrainConfig& c);
/// `base`, changed by the members that `j` has. ValueError, beginning with `origin`, for a key that is none (with the
/// nearest) or a value of another type.
TrainConfig changed_by(TrainConfig base, const nlohmann::json& j, const std::string& origin);

/// The optimiser over all of the model's parameters. ValueError for an unknown name or an option out of range.
std::unique_ptr<optim::Optimizer> make_optimizer(const TrainConfig& config, Module& model);

/// The learning rate as a function of optimiser steps, `steps` of them to an epoch; and what reacts to the validation
/// loss, for `plateau`. Notation of config.schedule, times in epochs:
///   constant | one-cycle[:RISE] | cosine[:MIN_LR] | poly[:POWER] | exponential:GAMMA
///   step:EVERY[,GAMMA] | multistep:EPOCH,EPOCH,…[,GAMMA] (a last number below 1 is gamma) |
///   plateau[:PATIENCE[,FACTOR]]
struct RateControl {
  Schedule schedule;                 // empty for plateau
  std::unique_ptr<Plateau> plateau;  // null otherwise
};
RateControl make_schedule(const TrainConfig& config, std::int64_t steps);

}  // namespace gradus::program
