#pragma once
// What a long command shows while it works: a line that is drawn again and again on a terminal, and now and then a
// plain line where the output goes to a file.

#include <chrono>
#include <cstdint>
#include <string>

namespace gradus::program {

class Progress {
 public:
  /// To stderr; `quiet` shows nothing at all.
  explicit Progress(bool quiet = false);
  /// Leaves the terminal's line clean.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Begins a task of `total` units; `from` of them are done already.
  void begin(std::string title, std::int64_t total, std::int64_t from = 0);
  /// `done` units are done; `figures` ("loss 1.23  acc 45.6 %") stand beside the bar. Cheap when called often.
  void update(std::int64_t done, const std::string& figures);
  /// Removes the bar.
  void end();
  /// A line that stays, above whatever bar is drawn.
  void line(const std::string& text);

  /// Whether a terminal is watching: then colours and bars are shown.
  bool live() const { return live_; }
  /// Seconds until the task ends at the pace so far; negative while unknown.
  double seconds_left(std::int64_t done) const;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::int64_t done, const std::string& figures);

  bool quiet_, live_, drawn_ = false;
  std::string title_;
  std::int64_t total_ = 0, from_ = 0;
  Clock::time_point begun_, last_;
};

/// 75 -> "1:15", 3700 -> "1:01:40".
std::string duration(double seconds);
/// 1234567 -> "1,234,567".
std::string grouped(std::int64_t n);

}  // namespace gradus::program
