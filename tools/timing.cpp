#include "tools/timing.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace gradus::program {

double median_ms(const std::function<void()>& run, double seconds) {
  using Clock = std::chrono::steady_clock;
  run();
  std::vector<double> ms;
  const Clock::time_point begin = Clock::now();
  while (ms.size() < 3 || std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    const Clock::time_point start = Clock::now();
    run();
    ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::nth_element(ms.begin(), ms.begin() + static_cast<std::ptrdiff_t>(ms.size() / 2), ms.end());
  return ms[ms.size() / 2];
}

}  // namespace gradus::program
