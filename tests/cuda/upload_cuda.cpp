// Batches that are cropped, mirrored and normalised on cuda:0 against those that the loader makes on the CPU.

#include <doctest/doctest.h>

#include "data/loader.hpp"
#include "data/shapes.hpp"
#include "ops/view/view.hpp"

namespace gradus::data {
namespace {

constexpr Device kCuda{DeviceType::cuda, 0};

/// One epoch of six pictures, in batches of four.
std::vector<Batch> batches(const char* pipeline, bool bytes) {
  const auto pictures = std::make_shared<Shapes>(ShapesOptions{.size = 6, .seed = 3});
  Loader loader(pictures, Pipeline::parse(pipeline),
                {.batch = 4, .shuffle = true, .seed = 5, .workers = 0, .bytes = bytes});
  std::vector<Batch> all;
  while (std::optional<Batch> batch = loader.next()) all.push_back(std::move(*batch));
  return all;
}

}  // namespace

TEST_CASE("upload: a batch cropped, mirrored and normalised on the device is the CPU's to the bit") {
  for (const char* pipeline :
       {"random_crop(32, padding=4) | flip | normalize(cifar10)", "flip | random_crop(24 40, padding=9) | flip(0.3)",
        "center_crop(20 28) | normalize(caffe)", "normalize(imagenet)", ""}) {
    CAPTURE(pipeline);
    const std::vector<Batch> host = batches(pipeline, false), device = batches(pipeline, true);
    REQUIRE(device.size() == host.size());
    for (std::size_t i = 0; i < host.size(); ++i) {
      CHECK(!device[i].images.defined());
      const Tensor images = device[i].bytes->upload(kCuda);
      CHECK(images.is_contiguous(Format::channels_last));
      CHECK(images.shape() == host[i].images.shape());
      CHECK(images.to_vector<float>() == host[i].images.to_vector<float>());
      CHECK(device[i].indices == host[i].indices);
      CHECK(device[i].labels.to_vector<std::int64_t>() == host[i].labels.to_vector<std::int64_t>());
    }
  }
}

TEST_CASE("upload: what a device cannot do is refused") {
  CHECK_THROWS_WITH_AS(batches("random_resized_crop(24) | normalize(half)", true),
                       "loader: a device crops, flips and normalises; it cannot do random_resized_crop(24 24, "
                       "area=0.08 1, ratio=0.75 1.3333334) | normalize(half)",
                       ValueError);
  CHECK_THROWS_AS(batches("random_crop(32, padding=4) | mixup(0.2)", true), ValueError);
  CHECK_THROWS_AS(batches("center_crop(20) | random_crop(32, padding=9)", true), ValueError);  // a second crop
  CHECK_THROWS_WITH_AS(batches("flip", true)[0].bytes->upload(kCpu), "upload: bytes are for CUDA devices, not for cpu",
                       DeviceError);
}

}  // namespace gradus::data
