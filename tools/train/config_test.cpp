#include "tools/train/config.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tools/train/recipes.hpp"
#include "zoo/recipes.hpp"

using namespace gradus;
using namespace gradus::program;
using nlohmann::json;

TEST_CASE("config: a file of some settings changes these and no others") {
  TrainConfig base;
  base.epochs = 7;
  const TrainConfig c = changed_by(base, {{"lr", 1}, {"nesterov", false}}, "file");
  CHECK(c.lr == 1);
  CHECK_FALSE(c.nesterov);
  CHECK(c.epochs == 7);
  CHECK(changed_by({}, json(base), "file") == base);
}

TEST_CASE("recipes: all of the zoo's are configurations, and their schedules can be made") {
  for (const zoo::Recipe& r : zoo::recipes()) {
    CAPTURE(r.name);
    const TrainConfig c = recipe_config(r.name);
    CHECK(c.model == r.model);
    CHECK(c.lr == r.lr);
    const RateControl rate = make_schedule(c, 100);
    CHECK((rate.schedule != nullptr) != (rate.plateau != nullptr));
  }
  CHECK(recipe_config("short") == TrainConfig{});
}

TEST_CASE("recipes: ZFNet scales its filters back, Inception's RMSProp is TensorFlow's, ResNets of He 2016 warm up") {
  const TrainConfig zfnet = recipe_config("zfnet");
  CHECK(zfnet.filter_rms == 0.1);
  CHECK(zfnet.optimizer == "sgd-velocity");
  CHECK(zfnet.init == "paper");
  CHECK(recipe_config("inception-v3").optimizer == "rmsprop-tf");
  CHECK(recipe_config("stochastic-depth-cifar").survival == 0.5);
  const RateControl rate = make_schedule(recipe_config("preresnet-cifar"), 390);
  CHECK(rate.schedule(0) == 0.01);
  CHECK(rate.schedule(398) == 0.01);
  CHECK(rate.schedule(400) == 0.1);
  CHECK(rate.schedule(81 * 390) == doctest::Approx(0.01));  // milestones count from the very start
}
