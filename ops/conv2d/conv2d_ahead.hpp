#pragma once
// What a kernel reads next, fetched into L2 while it multiplies. Packing or copying alone waits for memory: a pixel's
// channels are short runs in many pages, which the machine's own prefetchers leave alone. The cache lines are asked for
// a few at a time between multiply-adds, as many requests at once would hold up the loads.

#include <cstdint>

namespace gradus {

/// Pixels of `floats` floats, `step` floats apart, line by line.
class FetchCursor {
 public:
  FetchCursor() = default;  // nothing
  FetchCursor(const float* from, std::int64_t pixels, std::int64_t floats, std::int64_t step) {
    if (pixels <= 0) return;
    at_ = reinterpret_cast<const char*>(from);
    pixel_end_ = reinterpret_cast<const char*>(from + floats);
    step_ = step * std::int64_t{sizeof(float)};
    skip_ = (step - floats) * std::int64_t{sizeof(float)};
    last_ = reinterpret_cast<const char*>(from + (pixels - 1) * step + floats);
  }
  bool done() const { return at_ >= last_; }
  /// Asks for the next line. At the end, for the last again.
  void next() {
    __builtin_prefetch(at_, 0, 2);
    const char* line = at_ + kLine;
    const bool over = line >= pixel_end_;
    line = over ? pixel_end_ + skip_ : line;
    pixel_end_ += over ? step_ : 0;
    at_ = line < last_ ? line : last_;
  }

 private:
  static constexpr std::int64_t kLine = 64;
  static constexpr char kNothing = 0;
  const char *at_ = &kNothing, *pixel_end_ = &kNothing, *last_ = &kNothing;
  std::int64_t step_ = 0, skip_ = 0;
};

/// Of both factors, one after the other.
struct FetchAhead {
  FetchCursor first, second;
  FetchCursor& current() { return first.done() ? second : first; }
};

}  // namespace gradus
