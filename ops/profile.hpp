#pragma once
// Where the time goes: every kernel run while a Profile lives, with the module it ran for.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace gradus {

struct KernelEvent {
  const char* kernel;     // "conv2d.forward"
  std::string scope;      // "layer1.0.conv1"; empty outside modules
  std::int64_t begin_ns;  // since the profile began
  std::int64_t end_ns;
};

/// Listens on this thread from construction to destruction. One at a time.
class Profile {
 public:
  Profile();
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  const std::vector<KernelEvent>& events() const { return events_; }

 private:
  friend class KernelTimer;
  std::chrono::steady_clock::time_point begin_;
  std::vector<KernelEvent> events_;
};

/// Notes one kernel's begin and end in the Profile, if there is one; otherwise costs one load.
class KernelTimer {
 public:
  explicit KernelTimer(const char* kernel);
  ~KernelTimer();
  KernelTimer(const KernelTimer&) = delete;
  KernelTimer& operator=(const KernelTimer&) = delete;

 private:
  Profile* profile_;
  const char* kernel_;
  std::int64_t begin_ns_ = 0;
};

}  // namespace gradus
