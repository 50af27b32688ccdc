#pragma once
// Plateau: lowers the learning rate when a metric stops getting better.

#include <cstdint>

namespace gradus {

struct PlateauOptions {
  double factor = 0.1;
  int patience = 10;        // observations without progress that are put up with
  double threshold = 1e-4;  // relative progress that counts
  int cooldown = 0;         // observations after a cut during which nothing is counted
  double min_lr = 0;
  bool higher_is_better = false;  // an accuracy rather than a loss
};

/// The rules of PyTorch's ReduceLROnPlateau with a relative threshold.
class Plateau {
 public:
  /// All there is to save.
  struct State {
    double lr;
    double best = 0;
    bool seen = false;  // whether `best` means anything yet
    int bad = 0;        // observations without progress in a row
    int cooling = 0;    // observations of the cooldown that are left
    bool operator==(const State&) const = default;
  };

  /// ValueError for options out of their range.
  Plateau(double lr, const PlateauOptions& options);
  /// Takes note of the metric (after each epoch, say) and returns the learning rate from now on. NaN is no progress.
  double observe(double metric);
  double lr() const { return state_.lr; }

  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  PlateauOptions options_;
  State state_;
};

}  // namespace gradus
