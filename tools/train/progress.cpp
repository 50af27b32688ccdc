#include "tools/train/progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace gradus::program {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::seconds kPlainLine{30};
constexpr int kBarCells = 24;

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// `share` of the bar in cells, in steps of an eighth of one.
std::string bar(double share) {
  static const char* const kEighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::clamp(share, 0.0, 1.0) * kBarCells * 8);
  std::string text;
  for (int cell = 0; cell < kBarCells; ++cell) {
    const int filled = std::clamp(eighths - cell * 8, 0, 8);
    text += filled == 8 ? "█" : kEighths[filled];
  }
  return text;
}

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), live_(!quiet && isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() { end(); }

void Progress::begin(std::string title, std::int64_t total, std::int64_t from) {
  end();
  title_ = std::move(title);
  total_ = total;
  from_ = from;
  begun_ = Clock::now();
  last_ = live_ ? begun_ - kRedraw : begun_;
}

double Progress::seconds_left(std::int64_t done) const {
  if (done <= from_) return -1;
  const double spent = std::chrono::duration<double>(Clock::now() - begun_).count();
  return spent / static_cast<double>(done - from_) * static_cast<double>(total_ - done);
}

void Progress::update(std::int64_t done, const std::string& figures) {
  if (quiet_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ < (live_ ? Clock::duration(kRedraw) : Clock::duration(kPlainLine))) return;
  last_ = now;
  draw(done, figures);
}

void Progress::draw(std::int64_t done, const std::string& figures) {
  const double share = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1;
  const std::string percent = fmt::format("{:3.0f} %", 100 * share);
  if (!live_) {
    fmt::print(stderr, "{}  {}  {}\n", title_, percent, figures);
    return;
  }
  // Figures that do not fit are cut: a line that wraps could not be drawn over.
  const int room = terminal_width() - static_cast<int>(title_.size()) - kBarCells - 12;
  const std::string shown = figures.substr(0, static_cast<std::size_t>(std::max(0, room)));
  fmt::print(stderr, "\r\x1b[2K{} \x1b[36m{}\x1b[0m {}  {}", title_, "▕" + bar(share) + "▏", percent, shown);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::end() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[2K");
  std::fflush(stderr);
  drawn_ = false;
}

void Progress::line(const std::string& text) {
  if (quiet_) return;
  end();
  fmt::print(stderr, "{}\n", text);
}

std::string duration(double seconds) {
  const auto s = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n < 0 ? -n : n);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return (n < 0 ? "-" : "") + digits;
}

}  // namespace gradus::program
