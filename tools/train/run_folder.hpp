#pragma once
// The folder a training run leaves behind:
//   config.json             what was asked (TrainConfig)
//   log.jsonl               one object per epoch
//   events.out.tfevents…    the same and more for TensorBoard
//   histograms.jsonl        with --histograms: activations and gradients, one object per epoch
//   checkpoint.safetensors  everything needed to go on
//   best.safetensors        the weights that did best on the validation data
//   report.html             the run to look at
//   diverged.txt            of a sweep's run whose loss became no number: where that was first seen

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/train/config.hpp"

namespace gradus::program {

/// A row of log.jsonl.
struct EpochRecord {
  std::int64_t epoch = 0;  // from 1
  double lr = 0;           // at the epoch's last step
  double train_loss = 0, train_top1 = 0;
  double val_loss = 0, val_top1 = 0, val_top5 = 0;  // accuracies in per cent
  double images_per_second = 0;                     // of training
  double seconds = 0;                               // training and validation
};
void to_json(nlohmann::json& j, const EpochRecord& r);
void from_json(const nlohmann::json& j, EpochRecord& r);

/// `base`, changed by the settings in a JSON file: a run's config.json, or one's own with some of them. FileError where
/// it cannot be read, ValueError for what it says.
TrainConfig read_config_file(const std::string& path, const TrainConfig& base);

class RunFolder {
 public:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string checkpoint() const { return file("checkpoint.safetensors"); }
  std::string best() const { return file("best.safetensors"); }
  std::string events() const { return file("events.out.tfevents.gradus"); }
  const std::string& path() const { return path_; }
  bool has_checkpoint() const;
  bool has_config() const;

  /// Makes the folder if it is not there, and sees that files of `bytes` in all can be written to it. FileError.
  void prepare(std::int64_t bytes) const;
  /// Removes an earlier run's files, so that none of them can be taken for the new one's.
  void discard() const;
  void write_config(const TrainConfig& config) const;
  /// FileError where there is none or it is damaged.
  TrainConfig read_config() const;
  /// Replaces the log.
  void write_log(const std::vector<EpochRecord>& history) const;
  /// Appends a line to it.
  void append_log(const EpochRecord& record) const;
  /// The lines of log.jsonl. FileError where there is none or it is damaged.
  std::vector<EpochRecord> read_log() const;

  /// The lines of histograms.jsonl, oldest first; none where there is no such file.
  std::vector<nlohmann::json> read_histograms() const;
  void append_histograms(const nlohmann::json& line) const;
  /// Drops what is beyond that epoch.
  void cut_histograms(std::int64_t epoch) const;

 private:
  void append_line(const std::string& name, const nlohmann::json& line) const;
  std::vector<nlohmann::json> read_lines(const std::string& name) const;
  std::string path_;
};

}  // namespace gradus::program
