#include "ops/profile.hpp"

#include "autograd/node.hpp"
#if defined(GRADUS_HAS_CUDA)
#include "cuda/kernel_scope.hpp"
#endif

namespace gradus {
namespace {
thread_local Profile* listening = nullptr;
using Clock = std::chrono::steady_clock;
std::int64_t since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
}
#if defined(GRADUS_HAS_CUDA)
// Who holds device memory is told by module. Every operator uses this file, so whoever allocates has it.
const bool holders_named = [] {
  cuda::name_holders_by(current_scope);
  return true;
}();
#endif

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
