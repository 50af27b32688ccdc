#include "nn/files/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "nn/files/atomic_file.hpp"
#include "nn/files/files_test_support.hpp"

using namespace gradus;
using namespace gradus::files;

namespace {

std::vector<std::string> names(const NamedTensors& w) {
  std::vector<std::string> out;
  for (const NamedTensor& t : w.tensors) out.push_back(t.name);
  return out;
}

std::string error_of(const std::string& content) {
  return file_error([&] { load_weights(as_bytes(content), "f"); });
}

}  // namespace

TEST_CASE("weights: the content tells the format, whatever the name") {
  const TemporaryFolder folder;
  for (const char* name : {"state.pth", "state_legacy.pth", "state.safetensors"}) {
    const std::string path = folder / "weights.bin";
    write_file_atomic(path, read_all(sample(name)));
    const NamedTensors w = load_weights(path);
    CHECK_MESSAGE(w.find("conv.weight")->to_vector<double>() == ramp(24), name);
  }
}

TEST_CASE("weights: a file that is something else is named") {
  CHECK(error_of("") == "f: is an empty file");
  CHECK(error_of("\n<!DOCTYPE html>") == "f: is a web page: the download went wrong");
  CHECK(error_of("version https://git-lfs.github.com/spec/v1") ==
        "f: is a Git LFS pointer, not the file it stands for");
  CHECK(error_of("\x80\2}.") == "f: is a plain pickle, not one of PyTorch's checkpoints");
  CHECK(error_of("\x1f\x8b") == "f: is compressed by gzip: unpack it first");
  CHECK(error_of(std::string(257, 'x') + "ustar ") ==
        "f: is a tar archive, PyTorch's form before 0.1.10, which is not read");
  CHECK(error_of("weights") == "f: is neither safetensors nor a PyTorch checkpoint");
  CHECK(file_error([] { load_weights("none.pth"); }) == "none.pth: cannot be opened: No such file or directory");
}

TEST_CASE("weights: data-parallel prefixes and batch counters go, [1, C] vectors become [C]") {
  CHECK(names(load_weights(sample("training.pth"))) == std::vector<std::string>{"weight", "bias"});
  const NamedTensors w = load_weights(sample("state.pth"));
  CHECK(names(w) == std::vector<std::string>{"conv.weight", "bn.weight", "bn.running_mean", "scalar", "empty"});
  CHECK(w.find("bn.weight")->shape() == Shape{3});
  CHECK(w.find("bn.running_mean")->to_vector<double>() == ramp(3));
}

TEST_CASE("weights: a prefix that only some names have stays") {
  NamedTensors w{{{"module.a", zeros({1})}, {"b", zeros({1})}}, {}};
  canonical_names(w, "f");
  CHECK(names(w) == std::vector<std::string>{"module.a", "b"});
}

TEST_CASE("weights: old DenseNet names") {
  const Tensor x = zeros({1});
  NamedTensors w{{{"features.denseblock1.denselayer2.norm.1.weight", x},
                  {"features.denseblock1.denselayer2.conv.2.weight", x},
                  {"features.denseblock1.denselayer2.norm2.weight", x},
                  {"features.norm.1.weight", x}},
                 {}};
  canonical_names(w, "f");
  CHECK(names(w) == std::vector<std::string>{"features.denseblock1.denselayer2.norm1.weight",
                                             "features.denseblock1.denselayer2.conv2.weight",
                                             "features.denseblock1.denselayer2.norm2.weight",
                                             "features.norm.1.weight"});
  w.tensors.push_back({"features.denseblock1.denselayer2.norm.1.weight", x});
  CHECK(
      file_error([&] { canonical_names(w, "f"); }) ==
      "f: two tensors are called \"features.denseblock1.denselayer2.norm1.weight\" once names are brought to one form");
}

TEST_CASE("weights: the background class is dropped from a head of 1,001") {
  NamedTensors w{{{"last_linear.weight", arange(0, 2002, 1, {.dtype = DType::f32}).as_strided({1001, 2}, {2, 1}, 0)},
                  {"last_linear.bias", arange(0, 1001, 1, {.dtype = DType::f32})},
                  {"other.bias", zeros({1001})}},
                 {}};
  drop_background_class(w);
  CHECK(w.find("last_linear.weight")->shape() == Shape{1000, 2});
  CHECK(w.find("last_linear.weight")->to_vector<float>().front() == 2);
  CHECK(w.find("last_linear.bias")->shape() == Shape{1000});
  CHECK(w.find("last_linear.bias")->to_vector<float>().back() == 1000);
  CHECK(w.find("other.bias")->shape() == Shape{1001});
}

TEST_CASE("weights: saving follows the name's ending") {
  const TemporaryFolder folder;
  const NamedTensors w{{{"a", ones({2, 2})}}, {{"model", "m"}}};
  for (const auto& [name, format] :
       {std::pair{"w.pth", WeightFormat::torch}, {"w.safetensors", WeightFormat::safetensors}}) {
    const std::string path = folder / name;
    save_weights(path, w);
    CHECK(detect_weight_format(as_bytes(read_all(path)), path) == format);
    CHECK(load_weights(path).find("a")->to_vector<double>() == std::vector<double>(4, 1));
  }
}

// GRADUS_DATA_DIR names the folder of published weights: weights/NAME.{th,pth} and the same tensors in
// NAME.safetensors.
TEST_CASE("weights: published checkpoints equal their safetensors form") {
  const char* folder = std::getenv("GRADUS_DATA_DIR");
  if (folder == nullptr) {
    MESSAGE("skipped: GRADUS_DATA_DIR is not set");
    return;
  }
  for (const char* name : {"resnet20-12fca82f.th", "resnet32-d509ac18.th", "squeezenet1_1.pth"}) {
    const std::string path = std::string(folder) + "/weights/" + name;
    CAPTURE(path);
    const NamedTensors a = load_weights(path);
    const NamedTensors b = load_weights(path.substr(0, path.rfind('.')) + ".safetensors");
    REQUIRE(a.tensors.size() == b.tensors.size());
    for (const NamedTensor& t : a.tensors) {
      CAPTURE(t.name);
      REQUIRE(b.find(t.name) != nullptr);
      CHECK(t.tensor.shape() == b.find(t.name)->shape());
      CHECK(t.tensor.to_vector<float>() == b.find(t.name)->to_vector<float>());
    }
  }
}
