#pragma once
// Trainer: one training run, from its configuration to its folder.
//
// The same configuration gives the same bits on the same machine, whatever the number of threads and workers, and
// whether the run was left alone or killed and resumed: initial weights, the order of samples, their augmentation and
// dropout depend on the seed; a checkpoint holds all the rest.

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/random.hpp"
#include "data/loader.hpp"
#include "nn/checkpoint.hpp"
#include "nn/ema.hpp"
#include "nn/module.hpp"
#include "nn/optim/optimizer.hpp"
#include "tools/train/config.hpp"
#include "tools/train/data_sets.hpp"
#include "tools/train/evaluate.hpp"
#include "tools/train/events.hpp"
#include "tools/train/histogram.hpp"
#include "tools/train/interrupt.hpp"
#include "tools/train/progress.hpp"
#include "tools/train/run_folder.hpp"

namespace gradus::program {

/// A loss or gradient became no number: the text says where that was first seen.
struct Diverged : Error {
  using Error::Error;
};

class Trainer {
 public:
  /// Opens the data, builds the model and everything around it. ValueError for what the configuration gets wrong,
  /// FileError for the data. The model lives on `device`; a run may be resumed on another.
  explicit Trainer(const TrainConfig& config, Device device = kCpu);

  /// Bytes the run's folder will hold at most, a checkpoint being replaced included.
  std::int64_t disk_bytes();
  /// Goes on from the folder's checkpoint. FileError where it does not fit.
  void resume(const RunFolder& folder);
  /// Trains to the last epoch, writing to the folder after each. Throws Interrupted after Ctrl-C, once the state is
  /// saved. A loss or gradient that is no number ends it with Diverged; nothing of
  /// that epoch is saved.
  void run(const RunFolder& folder, Progress& progress);

  /// Instead of run(): `steps` steps with the learning rate(t), after each of which `each` hears of the loss and says
  /// whether to go on. What the network has learnt is of no use afterwards.
  void try_rates(const Schedule& rate, std::int64_t steps,
                 const std::function<bool(std::int64_t t, double loss)>& each);

  const std::vector<EpochRecord>& history() const { return history_; }
  /// The epoch with the best validation accuracy; null before the first.
  const EpochRecord* best() const;
  /// Whether --early-stop ended it: so many epochs without a better top-1 on the validation data.
  bool stopped_early() const;
  bool finished() const;
  Module& model() { return *model_; }

 private:
  /// Sums over the part of an epoch that is done: saved too, so that a resumed epoch reports the same figures.
  struct Partial {
    std::int64_t images = 0, hits = 0;
    double loss = 0, seconds = 0, lr = 0;
  };

  /// Training mode, but for what is frozen.
  void training_mode();
  void train_epoch(const RunFolder& folder, Progress& progress, const InterruptGuard& interrupt);

  struct Forward {
    Tensor loss, logits;  // [], of all heads, and [N, classes]
  };
  Forward forward(const data::Batch& batch);

  /// A batch's place among the --accumulate batches that share a step of the optimiser.
  struct Turn {
    std::int64_t number = 0, size = 1;
  };
  struct Learnt {
    double loss = 0;
    bool finite = true;  // false: loss or gradient is no number, and the step was not taken
  };
  /// Adds the batch's share to the gradients, and with the last batch of the turn takes the step. Batch norm sees every
  /// batch alone: its statistics are those of --batch images, and it counts each batch.
  Learnt learn(const data::Batch& batch, const Turn& turn);
  /// What the epoch came to, for TensorBoard.
  void write_events(const EpochRecord& record);
  Evaluation validate(Progress& progress);
  /// Names the pictures that were left out (--skip-bad) since it was called last.
  void name_skipped(Progress& progress);
  void finish_epoch(const RunFolder& folder, const Evaluation& evaluation, double seconds);
  void save(const RunFolder& folder);
  std::map<std::string, std::string> weight_metadata() const;
  /// Says where NaN or infinity first appears in the step that `batch` and `generator` make, run again with checks on.
  [[noreturn]] void explain(const data::Batch& batch, const Generator& generator, double loss);
  TrainingState state();

  TrainConfig config_;
  Device device_;
  DType precision_ = DType::f32;  // what Autocast casts to
  DataSets data_;
  std::unique_ptr<Classifier> model_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::vector<Module*> frozen_;
  std::unique_ptr<Ema> ema_;
  std::unique_ptr<data::Loader> train_loader_, val_loader_;
  RateControl rate_;
  std::vector<Tensor> parameters_;
  std::string model_name_;

  std::int64_t epoch_ = 0, batch_ = 0, step_ = 0;  // what comes next
  Partial partial_;
  std::vector<EpochRecord> history_;
  std::size_t best_ = 0;  // into history_
  double turn_loss_ = 0;  // mean over the batches of the turn so far

  std::unique_ptr<EventFile> events_;  // while run() is at work
  std::int64_t event_bytes_ = 0;       // of the event file, at the last checkpoint
  LayerHistograms histograms_;         // of the epoch's last step, with --histograms
  std::string folder_;
  std::set<std::string> named_;  // by name_skipped()
};

}  // namespace gradus::program
