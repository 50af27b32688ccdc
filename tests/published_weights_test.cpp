// From the file to the label with published weights and real pictures. GRADUS_DATA_DIR names a folder with
//   weights/            resnet20-12fca82f.th, resnet32-d509ac18.th, squeezenet1_1.pth
//   imagenet_samples/   pictures in folders named by WordNet
//   reference/          PyTorch's logits for them
// and GRADUS_CIFAR10_DIR one with CIFAR-10's binary files. A test without its folder is passed over, and says so.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "autograd/node.hpp"
#include "data/files.hpp"
#include "data/image.hpp"
#include "data/pipeline.hpp"
#include "tools/train/data_sets.hpp"
#include "tools/train/evaluate.hpp"
#include "tools/train/load_model.hpp"

using namespace gradus;
using namespace gradus::program;

namespace {

/// The folder an environment variable names; empty, with a message, where it names none.
std::string folder_of(const char* variable) {
  const char* folder = std::getenv(variable);
  if (folder == nullptr) MESSAGE("skipped: " << variable << " is not set");
  return folder == nullptr ? "" : folder;
}

std::vector<float> floats_of(const std::string& file) {
  const std::vector<std::uint8_t> bytes = data::read_file(file);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// What `gradus eval` does with these weights and this data.
Evaluation evaluation(const LoadedModel& net, const std::string& data, const std::string& folder) {
  DataRequest request;
  request.name = data;
  request.folder = folder;
  request.augment = "none";
  request.preprocess = net.notes.preprocess;
  request.need_train = false;
  request.known = net.notes.classes;
  request.outputs = net.outputs;
  const DataSets sets = open_data(request);
  data::Loader loader(sets.validation, sets.eval_pipeline, {.batch = 100});
  return evaluate(*net.model, loader);
}

struct Crop {
  std::string file;
  std::int64_t label;
};
std::vector<Crop> read_crops(const std::string& list) {
  std::vector<Crop> crops;
  std::ifstream in(list);
  for (std::string line; std::getline(in, line);) {
    const std::size_t tab = line.find('\t');
    crops.push_back({line.substr(0, tab), std::stoll(line.substr(tab + 1))});
  }
  return crops;
}

}  // namespace

TEST_CASE("published weights: CIFAR ResNets have the accuracy their author states") {
  const std::string root = folder_of("GRADUS_DATA_DIR"), cifar = folder_of("GRADUS_CIFAR10_DIR");
  if (root.empty() || cifar.empty()) return;
  struct Published {
    const char *file, *name;
    double top1;
  };
  for (const Published& p :
       {Published{"resnet20-12fca82f.th", "resnet20", 91.73}, Published{"resnet32-d509ac18.th", "resnet32", 92.63}}) {
    CAPTURE(p.file);
    const Evaluation e = evaluation(load_model(p.name, root + "/weights/" + p.file, true), "cifar10", cifar);
    CHECK(e.images == 10'000);
    CHECK(e.top1 == doctest::Approx(p.top1).epsilon(0.05 / p.top1));
  }
}

TEST_CASE("published weights: SqueezeNet names the samples of ImageNet as PyTorch does, but for one of 200 at most") {
  const std::string root = folder_of("GRADUS_DATA_DIR");
  if (root.empty()) return;
  const LoadedModel net = load_model("squeezenet1_1", root + "/weights/squeezenet1_1.pth", false);
  CHECK(net.notes.classes.names()[281] == "tabby");
  const Evaluation e = evaluation(net, "imagefolder", root + "/imagenet_samples");
  CHECK(e.images == 200);
  CHECK(std::abs(e.top1 * 2 - 129) <= 1);
  CHECK(std::abs(e.top5 * 2 - 171) <= 1);
}

TEST_CASE("published weights: SqueezeNet's logits for the same pixels are PyTorch's") {
  const std::string root = folder_of("GRADUS_DATA_DIR");
  if (root.empty()) return;
  const LoadedModel net = load_model("squeezenet1_1", root + "/weights/squeezenet1_1.pth", false);
  const std::vector<std::uint8_t> bytes = data::read_file(root + "/reference/imagenet_crops16.u8");
  const std::vector<float> expected = floats_of(root + "/reference/imagenet_crops16_squeezenet1_1_logits.f32");
  constexpr std::int64_t kArea = 224 * 224;
  REQUIRE(bytes.size() == 16 * 3 * kArea);
  REQUIRE(expected.size() == 16'000);
  const data::Normalization n = data::normalization("imagenet");
  std::vector<float> values(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t c = i / kArea % 3;
    values[i] = (static_cast<float>(bytes[i]) / 255 - n.mean[c]) / n.std[c];
  }
  const NoGrad no_grad;
  const std::vector<float> logits = (*net.model)(from_data<float>(values, {16, 3, 224, 224})).to_vector<float>();
  double worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) worst = std::max<double>(worst, std::abs(logits[i] - expected[i]));
  CHECK(worst < 1e-4);  // logits reach 40
}

TEST_CASE("published weights: decoding, resize and crop give Pillow's pixels, but for the JPEG decoder's rounding") {
  const std::string root = folder_of("GRADUS_DATA_DIR");
  if (root.empty()) return;
  const std::vector<std::uint8_t> bytes = data::read_file(root + "/reference/imagenet_crops16.u8");
  const std::vector<Crop> crops = read_crops(root + "/reference/imagenet_crops16.txt");
  REQUIRE(crops.size() == 16);
  const data::Pipeline pipeline = data::Pipeline::parse("resize(256) | center_crop(224)");
  constexpr std::size_t kArea = 224 * 224;
  for (std::size_t i = 0; i < crops.size(); ++i) {
    CAPTURE(crops[i].file);
    data::Picture picture;
    data::read_image(root + "/imagenet_samples/" + crops[i].file, picture.source());
    picture.reset();
    data::Random random(0, data::Purpose::kAugment, 0, 0);
    pipeline.apply(picture, random);
    REQUIRE(picture.height() == 224);
    REQUIRE(picture.width() == 224);
    std::vector<float> ours(3 * kArea);
    picture.write({}, ours.data());
    double sum = 0, most = 0;
    for (std::size_t p = 0; p < kArea; ++p)
      for (std::size_t c = 0; c < 3; ++c) {
        const double d = std::abs(ours[p * 3 + c] * 255 - static_cast<float>(bytes[(i * 3 + c) * kArea + p]));
        sum += d;
        most = std::max(most, d);
      }
    CHECK(sum / static_cast<double>(3 * kArea) < 1);
    CHECK(most < 40);
    MESSAGE(crops[i].file << ": mean " << sum / (3 * kArea) << ", most " << most);
  }
}
