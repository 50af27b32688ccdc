#pragma once
// Trainer: one training run, from its configuration to its folder.
//
// The same configuration gives the same bits on the same machine, whatever the number of threads and workers, and
// whether the run was left alone or killed and resumed: initial weights, the order of samples, their augmentation and
// dropout depend on the seed; a checkpoint holds all the rest.

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
#include "tools/train/interrupt.hpp"
#include "tools/train/progress.hpp"
#include "tools/train/run_folder.hpp"

namespace gradus::program {

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
  /// saved. A loss or gradient that is no number ends it with an Error that says where it first appeared; nothing of
  /// that epoch is saved.
  void run(const RunFolder& folder, Progress& progress);

  const std::vector<EpochRecord>& history() const { return history_; }
  /// The epoch with the best validation accuracy; null before the first.
  const EpochRecord* best() const;
  bool finished() const { return epoch_ >= config_.epochs; }
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
  /// One step; returns the loss.
  double step(const data::Batch& batch);
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
  std::string folder_;
  std::set<std::string> named_;  // by name_skipped()
};

}  // namespace gradus::program
