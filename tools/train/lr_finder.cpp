#include "tools/train/lr_finder.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/image.hpp"
#include "nn/files/atomic_file.hpp"
#include "tools/train/chart.hpp"
#include "tools/train/interrupt.hpp"
#include "tools/train/page.hpp"
#include "tools/train/trainer.hpp"

namespace gradus::program {
namespace {

constexpr double kPast = 0.9;      // of the smoothed loss in the next one
constexpr double kBroken = 4;      // times its least, the smoothed loss ends the test
constexpr std::size_t kLeast = 8;  // steps from which something can be said

}  // namespace

void judge_range(RangeResult& r) {
  r.smoothed.clear();
  double average = 0;
  for (std::size_t i = 0; i < r.losses.size(); ++i) {
    average = kPast * average + (1 - kPast) * r.losses[i];
    r.smoothed.push_back(average / (1 - std::pow(kPast, static_cast<double>(i + 1))));
  }
  const auto least =
      static_cast<std::size_t>(std::min_element(r.smoothed.begin(), r.smoothed.end()) - r.smoothed.begin());
  r.lowest = r.rates[least];
  r.suggested = r.lowest / 10;
}

RangeResult find_rate(const TrainConfig& config, Device device, const RangeTest& test, Progress& progress) {
  check(test.from > 0 && test.to > test.from, "--from {} --to {}: a range climbs from above 0", test.from, test.to);
  check(test.steps >= static_cast<std::int64_t>(kLeast), "--steps: must be {} or more, got {}", kLeast, test.steps);
  TrainConfig c = config;
  c.schedule = "constant";
  c.warmup = 0;
  Trainer trainer(c, device);
  const auto rate = [&](std::int64_t t) {
    return test.from * std::pow(test.to / test.from, static_cast<double>(t) / static_cast<double>(test.steps - 1));
  };
  RangeResult r;
  const InterruptGuard interrupt;
  progress.begin("learning rates", test.steps);
  double average = 0, least = 1e300;
  trainer.try_rates(rate, test.steps, [&](std::int64_t t, double loss) {
    if (!std::isfinite(loss)) return false;
    r.rates.push_back(rate(t));
    r.losses.push_back(loss);
    average = kPast * average + (1 - kPast) * loss;
    const double smoothed = average / (1 - std::pow(kPast, static_cast<double>(t + 1)));
    least = std::min(least, smoothed);
    progress.update(t + 1, fmt::format("lr {:.3g}  loss {:.3f}", rate(t), loss));
    if (interrupt.asked()) throw Interrupted("stopped");
    return r.rates.size() < kLeast || smoothed < kBroken * least;
  });
  progress.end();
  check<Error>(r.rates.size() >= kLeast,
               "find-lr: the loss was no number after {} steps, at a rate of {:.3g}; a lower --from may help",
               r.rates.size(), rate(std::ssize(r.rates)));
  judge_range(r);
  return r;
}

void write_range(const std::string& path, const std::string& title, const RangeResult& r) {
  const std::vector<Series> lines{{"smoothed", colour_of(0), r.smoothed, r.rates}};
  const ChartOptions options{.log_x = true, .mark = r.lowest};
  if (path.ends_with(".png")) {
    data::write_png(path, plot(fmt::format("loss over learning rate, least at {:.2g}", r.lowest), lines, options));
  } else if (path.ends_with(".html")) {
    std::vector<Series> both = lines;
    const double most = *std::max_element(r.smoothed.begin(), r.smoothed.end());
    std::vector<double> losses = r.losses;
    for (double& loss : losses)
      if (loss > most) loss = std::nan("");  // single leaps would flatten the rest
    both.push_back({"each step", "var(--line)", losses, r.rates});
    std::swap(both[0], both[1]);  // the smooth line on top
    files::write_file_atomic(
        path,
        begin_page(title,
                   fmt::format("the loss is least at a learning rate of {:.2g} (dashed); a tenth of it, {:.2g}, is a "
                               "careful choice",
                               r.lowest, r.suggested)) +
            chart("Loss over learning rate", both, options) + end_page());
  } else {
    check(path.ends_with(".json"), "--out: the ending of {} is none of .png, .html and .json", path);
    files::write_file_atomic(path, nlohmann::json{{"suggested", r.suggested},
                                                  {"lowest", r.lowest},
                                                  {"rates", r.rates},
                                                  {"losses", r.losses},
                                                  {"smoothed", r.smoothed}}
                                           .dump() +
                                       "\n");
  }
}

}  // namespace gradus::program
