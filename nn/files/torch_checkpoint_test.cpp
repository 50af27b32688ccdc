#include "nn/files/torch_checkpoint.hpp"

#include <doctest/doctest.h>

#include "nn/files/files_test_support.hpp"

using namespace gradus;
using namespace gradus::files;

namespace {

/// Both forms of one sample.
std::vector<std::string> forms(const std::string& name) {
  return {sample(name + ".pth"), sample(name + "_legacy.pth")};
}

std::vector<double> values(const NamedTensors& w, const char* name) {
  REQUIRE_MESSAGE(w.find(name) != nullptr, name);
  return w.find(name)->to_vector<double>();
}

}  // namespace

TEST_CASE("torch checkpoint: a state dict in both forms, protocols 2 and 4") {
  for (const char* name : {"state", "protocol4"}) {
    for (const std::string& path : forms(name)) {
      CAPTURE(path);
      const NamedTensors w = read_torch_checkpoint(path);
      REQUIRE(w.tensors.size() == 6);
      CHECK(w.tensors[0].name == "conv.weight");
      CHECK(w.tensors[0].tensor.shape() == Shape{2, 3, 2, 2});
      CHECK(values(w, "conv.weight") == ramp(24));
      CHECK(w.find("bn.weight")->shape() == Shape{1, 3});
      CHECK(w.find("bn.num_batches_tracked")->dtype() == DType::i64);
      CHECK(w.find("bn.num_batches_tracked")->item() == 7);
      CHECK(w.find("scalar")->rank() == 0);
      CHECK(w.find("scalar")->item() == 0.5);
      CHECK(w.find("empty")->shape() == Shape{0, 4});
    }
  }
}

TEST_CASE("torch checkpoint: every dtype, the small integers as i64") {
  for (const std::string& path : forms("dtypes")) {
    CAPTURE(path);
    const NamedTensors w = read_torch_checkpoint(path);
    for (const char* name : {"f64", "f16", "bf16", "i64", "u8", "bool"})
      CHECK(dtype_name(w.find(name)->dtype()) == std::string(name));
    for (const char* name : {"f64", "f16", "bf16"}) CHECK(values(w, name) == ramp(3));
    CHECK(values(w, "i64") == std::vector<double>{-1099511627776.0, 0, 3});
    CHECK(values(w, "i32") == std::vector<double>{-70000, 0, 3});
    CHECK(values(w, "i16") == std::vector<double>{-300, 0, 3});
    CHECK(values(w, "i8") == std::vector<double>{-3, 0, 3});
    CHECK(values(w, "u8") == std::vector<double>{0, 3, 255});
    CHECK(values(w, "bool") == std::vector<double>{1, 0, 1});
  }
}

TEST_CASE("torch checkpoint: tensors that are not contiguous, and storages that are shared") {
  for (const std::string& path : forms("views")) {
    CAPTURE(path);
    const NamedTensors w = read_torch_checkpoint(path);
    CHECK(values(w, "base") == ramp(24));
    CHECK(w.find("transposed")->shape() == Shape{6, 4});
    CHECK(values(w, "transposed")[1] == 0.5);                          // element 6 of the ramp
    CHECK(values(w, "slice") == std::vector<double>{1, 1.5, 2.5, 3});  // 8, 10, 14, 16
    CHECK(values(w, "expanded") == std::vector<double>(10, 2.75));     // element 15
    CHECK(values(w, "channels_last") == ramp(8));
    CHECK(w.find("channels_last")->is_contiguous(Format::channels_last));
    CHECK(values(w, "parameter") == std::vector<double>{-1, -0.75, -0.5, -0.25, 0, 0.25});
    CHECK(w.find("slice")->shares_storage(*w.find("base")));
    CHECK(w.find("parameter")->shares_storage(*w.find("base")));
    CHECK_FALSE(w.find("channels_last")->shares_storage(*w.find("base")));
  }
}

TEST_CASE("torch checkpoint: a state dict inside a training checkpoint, with what stands beside it") {
  for (const std::string& path : forms("training")) {
    CAPTURE(path);
    const NamedTensors w = read_torch_checkpoint(path);
    REQUIRE(w.tensors.size() == 2);
    CHECK(w.tensors[0].name == "module.weight");
    CHECK(values(w, "module.weight") == ramp(4));
    CHECK(w.metadata == std::map<std::string, std::string>{
                            {"arch", "linear"}, {"best_loss", "0.25"}, {"best_prec1", "91.5"}, {"epoch", "3"}});
  }
}

TEST_CASE("torch checkpoint: nothing in a file is executed") {
  for (const std::string& path : forms("os_system")) {
    const std::string error = file_error([&] { read_torch_checkpoint(path); });
    CHECK(error.find(path + ": pickle, byte ") == 0);
    CHECK(error.find("global posix.system is not allowed") != std::string::npos);
  }
  for (const std::string& path : forms("eval")) {
    CHECK(file_error([&] { read_torch_checkpoint(path); }).find("global __builtin__.eval is not allowed") !=
          std::string::npos);
  }
  for (const std::string& path : forms("module")) {
    const std::string error = file_error([&] { read_torch_checkpoint(path); });
    CHECK(error.find("global torch.nn.modules.linear.Linear is not allowed") != std::string::npos);
    CHECK(error.find("saved again as module.state_dict()") != std::string::npos);
  }
}

TEST_CASE("torch checkpoint: what is written is read, as contiguous tensors") {
  const TemporaryFolder folder;
  const std::string path = folder / "w.pth";
  NamedTensors w = read_torch_checkpoint(sample("views.pth"));
  for (const NamedTensor& t : read_torch_checkpoint(sample("state.pth")).tensors) w.tensors.push_back(t);
  for (const DType d : {DType::f64, DType::f16, DType::bf16, DType::u8, DType::boolean})
    w.tensors.push_back({dtype_name(d), ones({2}, {.dtype = d})});
  write_torch_checkpoint(path, w);
  const NamedTensors r = read_torch_checkpoint(path);
  REQUIRE(r.tensors.size() == w.tensors.size());
  for (std::size_t i = 0; i < w.tensors.size(); ++i) {
    CAPTURE(w.tensors[i].name);
    CHECK(r.tensors[i].name == w.tensors[i].name);
    CHECK(r.tensors[i].tensor.dtype() == w.tensors[i].tensor.dtype());
    CHECK(r.tensors[i].tensor.shape() == w.tensors[i].tensor.shape());
    CHECK(r.tensors[i].tensor.is_contiguous());
    CHECK(r.tensors[i].tensor.to_vector<double>() == w.tensors[i].tensor.to_vector<double>());
  }
  w.tensors.push_back(w.tensors[0]);
  CHECK(file_error([&] { write_torch_checkpoint(path, w); }) ==
        path + ": cannot be written: two tensors are called \"base\"");
}

TEST_CASE("torch checkpoint: metadata travel in a record of their own") {
  const TemporaryFolder folder;
  const std::string path = folder / "w.pth";
  const NamedTensors w{{{"a", ones({2})}}, {{"model", "resnet18"}, {"classes", "[\"tench\"]"}}};
  write_torch_checkpoint(path, w);
  CHECK(read_torch_checkpoint(path).metadata == w.metadata);
}

TEST_CASE("torch checkpoint: a damaged file is refused or read, never more") {
  for (const char* name : {"state", "dtypes", "views", "training", "os_system"}) {
    for (const std::string& path : forms(name)) {
      const std::string whole = read_all(path);
      const int refused = survive_damage(whole, [](Bytes b) { read_torch_checkpoint(b, "f"); });
      CHECK_MESSAGE(refused > static_cast<int>(whole.size()), path);  // at least every cut
    }
  }
}

TEST_CASE("torch checkpoint: an object without a state dict is described") {
  std::string state = read_all(sample("state_legacy.pth"));
  const auto error_of = [](const std::string& object) {
    // the first three pickles of a legacy file, then the object, then no keys
    const std::string whole = read_all(sample("state_legacy.pth"));
    const std::size_t machine_end = whole.find(
        "\x80\x02"
        "ccollections");
    REQUIRE(machine_end != std::string::npos);
    const std::string file = whole.substr(0, machine_end) + object + "].";
    return file_error([&] { read_torch_checkpoint(as_bytes(file), "f"); });
  };
  CHECK(error_of("].") == "f: holds a list, not a state dict");
  CHECK(error_of("}.") == "f: holds no state dict: a dict with nothing in it");
  CHECK(error_of("}(U\5epochK\1K\2Nu.") == "f: holds no state dict: a dict with the keys \"epoch\", an integer");
}
