#include "tools/train/interrupt.hpp"

#include <csignal>

namespace gradus::program {
namespace {

volatile std::sig_atomic_t stop = 0;

void on_signal(int) { stop = 1; }

void install(void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  stop = 0;
  install(on_signal, static_cast<int>(SA_RESETHAND) | SA_RESTART);
}

InterruptGuard::~InterruptGuard() { install(SIG_DFL, 0); }

bool InterruptGuard::asked() const { return stop != 0; }

}  // namespace gradus::program
