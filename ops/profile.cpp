#include "ops/profile.hpp"

#include "autograd/node.hpp"

namespace gradus {
namespace {
thread_local Profile* listening = nullptr;
using Clock = std::chrono::steady_clock;
std::int64_t since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}
}  // namespace

Profile::Profile() : begin_(Clock::now()) {
  check<GraphError>(listening == nullptr, "Profile: another one is listening on this thread");
  listening = this;
}
Profile::~Profile() { listening = nullptr; }

KernelTimer::KernelTimer(const char* kernel) : profile_(listening), kernel_(kernel) {
  if (profile_) begin_ns_ = since(profile_->begin_);
}
KernelTimer::~KernelTimer() {
  if (profile_) profile_->events_.push_back({kernel_, current_scope(), begin_ns_, since(profile_->begin_)});
}

}  // namespace gradus
