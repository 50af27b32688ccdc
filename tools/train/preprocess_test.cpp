#include "tools/train/preprocess.hpp"

#include <doctest/doctest.h>

#include "data/pipeline.hpp"

using namespace gradus;
using namespace gradus::program;

TEST_CASE("preprocess: published weights get what they were trained with") {
  CHECK(published_preprocessing("squeezenet1_1") == "resize(256) | center_crop(224) | normalize(imagenet)");
  CHECK(published_preprocessing("cifar_resnet20") == "normalize(imagenet)");
  CHECK(published_preprocessing("cifar_densenet40_k12") == "normalize(cifar10)");
  CHECK(published_preprocessing("bninception") == "resize(256) | center_crop(224) | normalize(caffe)");
  CHECK(published_preprocessing("dpn68") == "resize(256) | center_crop(224) | normalize(dpn)");
  CHECK(published_preprocessing("inceptionv4") == "resize(342) | center_crop(299) | normalize(half)");
}

TEST_CASE("preprocess: torchvision's transform_input is the normalisation to -1 … 1") {
  // x = (p - mean) / std, then x std / 0.5 + (mean - 0.5) / 0.5 = (p - 0.5) / 0.5
  CHECK(published_preprocessing("inception_v3") == "resize(342) | center_crop(299) | normalize(half)");
  CHECK(published_preprocessing("googlenet") == "resize(256) | center_crop(224) | normalize(half)");
}

TEST_CASE("preprocess: every model's text is a pipeline") {
  for (const zoo::ModelInfo& model : zoo::models()) {
    CAPTURE(model.name);
    CHECK_NOTHROW(data::Pipeline::parse(published_preprocessing(model.name)));
  }
}

TEST_CASE("preprocess: constants without a name are written out") {
  CHECK(pipeline_text({.mean = {0.25, 0.5, 0.5}, .std = {1, 1, 0.5}}) == "normalize(mean=0.25 0.5 0.5, std=1 1 0.5)");
}

TEST_CASE("preprocess: the normalisation of a pipeline, and a resize for pictures of any size") {
  CHECK(normalization_of("flip | normalize(mean=0 0 0, std=1 1 1) | mixup(1)") == "normalize(mean=0 0 0, std=1 1 1)");
  CHECK(normalization_of("flip").empty());
  CHECK(for_any_picture("normalize(half)", 32) == "resize(32 32) | normalize(half)");
  CHECK(for_any_picture("resize(256) | center_crop(224)", 224) == "resize(256) | center_crop(224)");
  CHECK(for_any_picture("", 32) == "resize(32 32)");
}

TEST_CASE("preprocess: shorter side and crop are read off the pipeline, or follow from the input") {
  const Geometry published = geometry_of("resize(342) | center_crop(299 299) | normalize(half)", 299);
  CHECK(published.resize == 342);
  CHECK(published.crop == 299);
  const Geometry small = geometry_of("normalize(cifar10)", 32);
  CHECK(small.resize == 36);
  CHECK(small.crop == 32);
}
