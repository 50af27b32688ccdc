#include "zoo/recipes.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace gradus;

TEST_CASE("recipes: each has a name of its own, a model of the zoo, a schedule and an augmentation") {
  std::set<std::string> names;
  for (const zoo::Recipe& recipe : zoo::recipes()) {
    CAPTURE(recipe.name);
    CHECK(names.insert(recipe.name).second);
    CHECK(zoo::find_model(recipe.model).name == recipe.model);
    CHECK(!recipe.schedule.empty());
    CHECK(!recipe.augment.empty());
    CHECK(!recipe.source.empty());
  }
}

TEST_CASE("recipes: the one of section 4.2 of the ResNet paper") {
  const zoo::Recipe& recipe = zoo::find_recipe("resnet-cifar");
  CHECK(recipe.batch == 128);
  CHECK(recipe.lr == 0.1);
  CHECK(recipe.schedule == "multistep:81,122");
  CHECK(recipe.weight_decay == 1e-4);
}

TEST_CASE("recipes: an unknown name is an error that lists the known ones") {
  CHECK_THROWS_WITH_AS(zoo::find_recipe("resnet"), doctest::Contains("recipe: no \"resnet\"; there are alexnet, zfnet"),
                       ValueError);
}

TEST_CASE("recipes: published weights expect the images they were trained on") {
  CHECK(zoo::preprocessing("resnet50").crop == 224);
  CHECK(zoo::preprocessing("resnet50").mean[0] == 0.485);
  CHECK(zoo::preprocessing("inceptionv4").resize == 342);
  CHECK(zoo::preprocessing("inceptionv4").mean[1] == 0.5);
  CHECK(zoo::preprocessing("bninception").bgr);
  CHECK(zoo::preprocessing("bninception").range == 255);
  CHECK(zoo::preprocessing("googlenet").transform_input);
  CHECK(!zoo::preprocessing("googlenet_paper").transform_input);
  CHECK(zoo::preprocessing("dpn92").std[0] == doctest::Approx(1 / (0.0167 * 255)));
  CHECK(zoo::preprocessing("cifar_resnet20").mean[0] == 0.485);
  CHECK(zoo::preprocessing("cifar_densenet40_k12").mean[0] == 0.4914);
}
