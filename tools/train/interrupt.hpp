#pragma once
// Ctrl-C: the first one asks, the second one kills.

namespace gradus::program {

/// Listens for SIGINT and SIGTERM while it lives. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  /// True once the user has asked to stop. A second signal then ends the process as usual.
  bool asked() const;
};

}  // namespace gradus::program
