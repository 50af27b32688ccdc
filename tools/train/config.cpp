#include "tools/train/config.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "data/arguments.hpp"
#include "nn/optim/adam.hpp"
#include "nn/optim/rmsprop.hpp"
#include "nn/optim/sgd.hpp"

namespace gradus::program {

using nlohmann::json;

// The members, in the order of the file.
// clang-format off
#define GRADUS_CONFIG_FIELDS(X)                                                                    \
  X(model) X(dropout) X(survival) X(init) X(weights) X(replace_head) X(freeze)                     \
  X(data) X(data_dir) X(classes) X(skip_bad) X(augment) X(mixup) X(cutmix) X(size) X(limit) X(limit_val) \
  X(epochs) X(batch) X(accumulate) X(optimizer) X(lr) X(schedule) X(warmup) X(warmup_lr) X(momentum) X(nesterov) \
  X(weight_decay) X(decay_all) X(label_smoothing) X(aux_weight) X(clip_norm) X(filter_rms) X(ema) X(early_stop) \
  X(amp) X(tf32) X(seed) X(workers) X(threads) X(histograms)
// clang-format on

void to_json(json& j, const TrainConfig& v) {
#define GRADUS_WRITE(name) j[#name] = v.name;
  GRADUS_CONFIG_FIELDS(GRADUS_WRITE)
#undef GRADUS_WRITE
}

namespace {

/// json's own conversions would cut 1.5 down to 1 and take true for 1.
template <class T>
void read(const json& value, const std::string& key, const std::string& origin, T& to) {
  const auto expect = [&](bool holds, const char* what) {
    check(holds, "{}: {} takes {}, got {}", origin, key, what, value.dump());
  };
  if constexpr (std::is_same_v<T, bool>) {
    expect(value.is_boolean(), "true or false");
  } else if constexpr (std::is_same_v<T, std::string>) {
    expect(value.is_string(), "a text");
  } else if constexpr (std::is_unsigned_v<T>) {
    expect(value.is_number_unsigned(), "a whole number, 0 or more");
  } else if constexpr (std::is_integral_v<T>) {
    expect(value.is_number_integer(), "a whole number");
  } else {
    expect(value.is_number(), "a number");
  }
  value.get_to(to);
}

}  // namespace

TrainConfig changed_by(TrainConfig c, const json& j, const std::string& origin) {
#define GRADUS_NAME(name) std::string_view(#name),
  static constexpr std::array known{GRADUS_CONFIG_FIELDS(GRADUS_NAME)};
#undef GRADUS_NAME
  check(j.is_object(), "{}: is no JSON object of settings", origin);
  for (const auto& [key, value] : j.items()) {
#define GRADUS_READ(name)             \
  if (key == #name) {                 \
    read(value, key, origin, c.name); \
    continue;                         \
  }
    GRADUS_CONFIG_FIELDS(GRADUS_READ)
#undef GRADUS_READ
    fail("{}: there is no setting \"{}\"; the nearest is {}", origin, key, data::nearest_name(key, known));
  }
  return c;
}

std::unique_ptr<optim::Optimizer> make_optimizer(const TrainConfig& c, Module& model) {
  std::vector<optim::ParameterGroup> groups = c.decay_all ? optim::one_group(model) : optim::decay_weights_only(model);
  std::erase_if(groups, [](const optim::ParameterGroup& g) { return g.parameters.empty(); });
  if (c.optimizer == "sgd" || c.optimizer == "sgd-velocity")
    return std::make_unique<optim::Sgd>(std::move(groups), optim::SgdOptions{.lr = c.lr,
                                                                             .momentum = c.momentum,
                                                                             .weight_decay = c.weight_decay,
                                                                             .nesterov = c.nesterov && c.momentum > 0,
                                                                             .velocity_form = c.optimizer != "sgd"});
  if (c.optimizer == "rmsprop" || c.optimizer == "rmsprop-tf")
    return std::make_unique<optim::RmsProp>(std::move(groups),
                                            optim::RmsPropOptions{.lr = c.lr,
                                                                  .alpha = 0.9,
                                                                  .eps = c.optimizer == "rmsprop" ? 1e-8 : 1.0,
                                                                  .momentum = c.momentum,
                                                                  .weight_decay = c.weight_decay,
                                                                  .tensorflow_form = c.optimizer != "rmsprop"});
  const optim::AdamOptions adam{.lr = c.lr, .weight_decay = c.weight_decay};
  if (c.optimizer == "adam") return std::make_unique<optim::Adam>(std::move(groups), adam);
  if (c.optimizer == "adamw") return std::make_unique<optim::AdamW>(std::move(groups), adam);
  constexpr std::array<std::string_view, 6> known{"sgd", "sgd-velocity", "adam", "adamw", "rmsprop", "rmsprop-tf"};
  fail(
      "--optimizer: there is no \"{}\"; the nearest is {} (known: sgd, sgd-velocity, adam, adamw, rmsprop, rmsprop-tf)",
      c.optimizer, data::nearest_name(c.optimizer, known));
}

namespace {

/// "step:30,0.1" as a name and numbers.
struct Notation {
  std::string name;
  std::vector<double> numbers;

  explicit Notation(const std::string& text) : name(text.substr(0, text.find(':'))) {
    if (name.size() == text.size()) return;
    for (const std::string_view word : data::split(std::string_view(text).substr(name.size() + 1), ',')) {
      double value = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      check(error == std::errc() && end == word.data() + word.size(), "--schedule {}: \"{}\" is not a number", name,
            word);
      numbers.push_back(value);
    }
  }
  double number(std::size_t i, double otherwise) const { return i < numbers.size() ? numbers[i] : otherwise; }
  /// ValueError unless there are `low` to `high` numbers.
  void expect(std::size_t low, std::size_t high) const {
    check(numbers.size() >= low && numbers.size() <= high, "--schedule {}: takes {} to {} numbers, got {}", name, low,
          high, numbers.size());
  }
};

}  // namespace

RateControl make_schedule(const TrainConfig& c, std::int64_t steps) {
  const Notation n(c.schedule);
  check(c.warmup >= 0, "--warmup: must not be negative, got {}", c.warmup);
  check(c.warmup_lr >= 0, "--warmup-lr: must not be negative, got {}", c.warmup_lr);
  const bool climbs = c.warmup_lr == 0;  // else the schedule runs from the very start, unseen at first
  const auto in_steps = [&](double epochs) {
    return static_cast<std::int64_t>(std::llround(epochs * static_cast<double>(steps)));
  };
  const std::int64_t warmup = in_steps(c.warmup);
  const std::int64_t before = climbs ? warmup : 0;
  const std::int64_t total = std::max<std::int64_t>(1, c.epochs * steps - before);
  // Milestones are epochs of the whole run: warm-up comes out of the first of them.
  const auto milestone = [&](double epoch) { return std::max<std::int64_t>(0, in_steps(epoch) - before); };

  Schedule schedule;
  if (n.name == "constant") {
    n.expect(0, 0);
    schedule = schedule::constant(c.lr);
  } else if (n.name == "one-cycle") {
    n.expect(0, 1);
    schedule = schedule::one_cycle({.max_lr = c.lr, .total = total, .rise = n.number(0, 0.3)});
  } else if (n.name == "cosine") {
    n.expect(0, 1);
    schedule = schedule::cosine(c.lr, total, n.number(0, 0));
  } else if (n.name == "poly") {
    n.expect(0, 1);
    schedule = schedule::polynomial(c.lr, total, n.number(0, 1));
  } else if (n.name == "exponential") {
    n.expect(1, 1);
    const double gamma = n.number(0, 1);
    schedule = [=, lr = c.lr](std::int64_t t) { return lr * std::pow(gamma, static_cast<double>(t / steps)); };
  } else if (n.name == "step") {
    n.expect(1, 2);
    schedule = schedule::step(c.lr, std::max<std::int64_t>(1, in_steps(n.number(0, 1))), n.number(1, 0.1));
  } else if (n.name == "multistep") {
    n.expect(1, 100);
    std::vector<double> epochs = n.numbers;
    double gamma = 0.1;
    if (epochs.size() > 1 && epochs.back() < 1) {
      gamma = epochs.back();
      epochs.pop_back();
    }
    std::vector<std::int64_t> milestones;
    for (const double e : epochs) milestones.push_back(milestone(e));
    schedule = schedule::multi_step(c.lr, std::move(milestones), gamma);
  } else if (n.name == "plateau") {
    n.expect(0, 2);
    check(c.warmup == 0, "--schedule plateau: cannot be combined with --warmup");
    PlateauOptions options{.factor = n.number(1, 0.1), .patience = static_cast<int>(n.number(0, 5))};
    return {{}, std::make_unique<Plateau>(c.lr, options)};
  } else {
    constexpr std::array<std::string_view, 8> known{"constant", "one-cycle", "cosine",      "poly",
                                                    "step",     "multistep", "exponential", "plateau"};
    fail(
        "--schedule: there is no \"{}\"; the nearest is {} (known: constant, one-cycle, cosine, poly, step, multistep, "
        "exponential, plateau)",
        n.name, data::nearest_name(n.name, known));
  }
  if (warmup > 0)
    schedule = climbs ? schedule::linear_warmup(warmup, std::move(schedule))
                      : schedule::constant_warmup(warmup, c.warmup_lr, std::move(schedule));
  return {std::move(schedule), nullptr};
}

}  // namespace gradus::program
